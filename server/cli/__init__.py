"""The command line: the tools of the server for a person at a terminal."""
