"""The task store: its interface, records, errors and change notices, and its implementation on SQLite."""
