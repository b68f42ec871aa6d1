"""Queries: lists, graphs and progress of tasks."""
