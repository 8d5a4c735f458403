"""Points of a few Gaussian classes and networks that tell them apart."""
