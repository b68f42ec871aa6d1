"""Backups: writing them while a server runs, scheduling them, and restoring them."""
