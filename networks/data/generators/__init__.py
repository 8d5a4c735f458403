"""Generators of small data in the layouts of the real files: pure functions of count, seed and parameters."""
