"""Data for training: sources by path, generators of the same layouts, tokenisers, readers. NumPy only: no torch, no MPI."""
