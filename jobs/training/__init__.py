"""Job kind `training`: models trained by groups of ranks; `kind` is what the job model loads."""
