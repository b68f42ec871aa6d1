"""Backups: written while a server runs, written every day by itself, and restored."""
