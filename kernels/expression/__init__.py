"""The formula language: text -> checked tree -> numbers. Formulas come from strangers and never execute code."""
