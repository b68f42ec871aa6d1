"""The command line: the same tools as for models, for a person at a keyboard."""
