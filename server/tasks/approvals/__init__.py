"""Approvals of tool calls: decisions, and what a decision covers."""
