"""Views: the answers of the service, their models, and their making from records."""
