"""The heart: one method for each thing a user can do, called by every face."""
