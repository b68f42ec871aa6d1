"""Requests of clients: their models, and the parsing of arguments into them."""
