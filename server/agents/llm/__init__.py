"""The built-in agent with a model."""
