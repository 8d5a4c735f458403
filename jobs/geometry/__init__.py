"""Job kind `geometry`: curves, surfaces, charts and matrix groups; `kind` is what the job model loads."""
