"""Manifolds with charts, matrix groups and their algebras, and the residuals that say whether they are what they claim."""
