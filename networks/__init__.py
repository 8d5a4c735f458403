"""Models, blocks, losses and data readers in torch. No MPI, no jobs; importing this package does not import torch."""
