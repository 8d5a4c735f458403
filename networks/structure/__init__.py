"""Networks with structure: dictionaries, fields given a set, graphs, energies and the integrators that keep them."""
