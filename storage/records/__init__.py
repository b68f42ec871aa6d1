"""What the store takes and returns, as frozen records."""
