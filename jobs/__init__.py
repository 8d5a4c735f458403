"""What a person can ask for: job files, job kinds, the gallery and the command line."""
