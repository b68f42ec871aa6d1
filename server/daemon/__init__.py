"""The server process of a state folder: started, found, connected to, and ended."""
