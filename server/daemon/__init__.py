"""The server process of a state folder: starting it, finding it, connecting to it, and ending it."""
