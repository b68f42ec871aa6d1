"""Programs that speak the Agent Client Protocol, in the sandbox."""
