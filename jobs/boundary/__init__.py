"""Job kind `boundary`: maps iterated until they escape, enter or converge; `kind` is what the job model loads."""
