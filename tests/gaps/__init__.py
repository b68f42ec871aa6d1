"""The table of what each tier of the sandbox does not hold, in SECURITY.md."""
