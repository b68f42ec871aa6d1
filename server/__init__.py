"""remit: hand work to a background agent inside limits that hold."""
