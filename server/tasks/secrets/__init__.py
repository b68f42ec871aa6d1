"""Secrets of tasks: their values in memory, where they come from, and masking."""
