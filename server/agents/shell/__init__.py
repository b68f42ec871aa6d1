"""The shell agent: a message shows its commands, each of which is one call. No model, no key."""
