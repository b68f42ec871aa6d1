"""What tasks are to each other, and share."""
