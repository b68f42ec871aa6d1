"""What a client is shown: models, and the making of them from records."""
