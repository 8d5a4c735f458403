"""Job kind `completion`: what a trained language model writes behind new prompts; `kind` is what the job model loads."""
