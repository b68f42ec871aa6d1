"""The checks of `remit doctor`."""
