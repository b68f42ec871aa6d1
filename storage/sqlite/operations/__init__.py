"""The store's operations, each within one transaction."""
