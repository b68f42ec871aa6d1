"""What a folder holds that other programs would execute, enter or wait for: found, protected, made harmless."""
