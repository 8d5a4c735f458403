"""Job kind `encoding`: the rows of a table become characters at fixed places and one-hot vectors."""
