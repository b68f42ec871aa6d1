"""The version of this installation, and the path of its launcher."""

import os

VERSION = "0.1.0"

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

LAUNCHER = os.path.join(os.path.dirname(_ROOT) if os.path.basename(_ROOT) == "remit_app" else _ROOT, "remit.py")
"""Absolute path of remit.py: beside this package in a checkout, beside the folder `remit_app` in a wheel."""
