"""Frozen records that the store takes and returns."""
