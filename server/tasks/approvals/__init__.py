"""Decisions on tool calls, and what an approval holds for."""
