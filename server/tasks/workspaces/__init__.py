"""The folders that tasks work in: chosen, kept and removed."""
