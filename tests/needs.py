"""Things that a machine may lack, and the tests that are skipped without them."""

import os
from typing import NoReturn

import pytest

MISSING = "MISSING"
"""The variable that says `fail` where nothing that could be installed may be missing."""


def lacks(reason: str) -> NoReturn:
    """Skip the test for want of what somebody could install; fail it where MISSING=fail."""
    if os.environ.get(MISSING) == "fail":
        pytest.fail(reason)
    pytest.skip(reason)
