"""Measuring what a running command uses, and ending it when it exceeds a limit."""
