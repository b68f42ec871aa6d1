"""Types of what a run says, as the store takes it: with every secret masked.

The type checker takes no other text for them. `server.tasks.secrets.masking` alone makes them of a run's texts. The
storage makes them of its own words, and of the error that a caller reported of a record, whose request was checked for
secrets.
"""

from typing import Any, NewType

MaskedText = NewType("MaskedText", str)
MaskedArgs = NewType("MaskedArgs", dict[str, Any])
"""The arguments of a call, as JSON."""
