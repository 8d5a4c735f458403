"""Where the work runs: units, ranks, devices, stores, stopping, resuming. Knows plans, never job files or kinds."""
