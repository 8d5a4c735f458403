"""Job kind `corpus`: a text becomes tokens, block by block."""
