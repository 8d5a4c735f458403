"""Job kind `divergence`: where two copies of three bodies separate; `kind` is what the job model loads."""
