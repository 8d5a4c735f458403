"""Measurements of the kernels and the engine against readable baselines, side by side in one run."""
