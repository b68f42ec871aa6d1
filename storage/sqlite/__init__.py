"""The store, implemented on one SQLite file."""
