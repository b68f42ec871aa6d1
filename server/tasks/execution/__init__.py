"""Runs of tasks: scheduling, execution, and the record of what they did."""
