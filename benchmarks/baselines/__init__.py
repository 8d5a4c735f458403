"""What the kernels are measured against: the plain C loop, Numba, torch as the texts write it, and the core's own peak."""
