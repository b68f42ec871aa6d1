"""Safe access to files and folders that an adversary writes: opening, walking, reading, removing."""
