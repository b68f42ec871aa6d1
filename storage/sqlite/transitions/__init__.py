"""Transitions of one task: its status, turns and conversation."""
