"""How jobs reach a cluster: the batch script as a pure function, and its submission."""
