"""Runs of tasks: scheduled, executed and recorded."""
