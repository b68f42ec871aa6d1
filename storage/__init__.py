"""The task store: records, the errors and change notices of the store, and its SQLite implementation."""
