"""Random operations on the store, held against a simple model of it."""
