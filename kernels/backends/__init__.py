"""Compilers and runners of device code: `host` for CPU vector units, `cuda` for GPUs; the same names in both."""
