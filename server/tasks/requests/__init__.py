"""What a client asks for: models, and the reading of arguments into them."""
