"""The search for files that other programs would execute, enter or wait for, to protect them or set them aside."""
