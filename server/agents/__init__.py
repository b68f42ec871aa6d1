"""Agents: the programs that do the work of tasks."""
