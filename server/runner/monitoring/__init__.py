"""What a command uses of the machine while it runs, and its end where that is too much."""
