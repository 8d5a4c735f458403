"""One file a verb of the command line; `jobs.cli` only wires them."""
