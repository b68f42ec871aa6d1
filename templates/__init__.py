"""Texts and secrets: substitution of templates, and masking of secret values."""
