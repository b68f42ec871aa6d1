"""Assistants that people use, with remit among their tools and a scripted model in place of theirs."""
