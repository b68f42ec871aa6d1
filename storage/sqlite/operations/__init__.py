"""Whole operations of the store, each within one transaction."""
