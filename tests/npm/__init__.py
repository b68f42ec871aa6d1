"""Agents that people use, run for real: npm brings them, in the versions of the lock file beside this."""
