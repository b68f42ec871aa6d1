"""The values of secrets: kept in memory, filled in, and masked."""
