"""The service layer: one method for each thing a user can do, called by every interface."""
