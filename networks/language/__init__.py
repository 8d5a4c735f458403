"""Language models: ways of mixing tokens in one shell, their losses, generation, and what is measured of them.

Importing this package does not import torch; its modules do.
"""
