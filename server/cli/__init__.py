"""The terminal face: the same tools as for models, for a person at a keyboard."""
