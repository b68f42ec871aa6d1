"""The variables that a command sets, as far as its text shows them."""

import re
from collections.abc import Set

_ASSIGNED = re.compile(r"(?<![\w$])([A-Za-z_]\w*+)(?:\[[^\]\n]{0,60}\])?+\+?=(?!=)")
_DEFAULTED = re.compile(r"\$\{([A-Za-z_]\w*+):?=")
_NAMED = re.compile(
    r"\b(?:for|select|read|mapfile|readarray|getopts|declare|typeset|local|let|unset|printf[ \t]+-v)\b([^;&|\n]*+)"
)
_EXPORTED = re.compile(r"(?:^|[;&|({])[ \t]*+(?:export|readonly)[ \t]([^;&|\n]*+)", re.MULTILINE)
_NAME = re.compile(r"(?<![\w$=/.-])[A-Za-z_]\w*+(?![\w=/.-])")


def unset(command: str, reads: Set[str]) -> frozenset[str]:
    """Those of the variables that a command reads, by expansion or by `export NAME`, which it does not set itself."""
    exported = {name for words in _EXPORTED.findall(command) for name in _NAME.findall(words)}
    named = {name for words in _NAMED.findall(command) for name in _NAME.findall(words)}
    return frozenset({*reads, *exported} - {*_ASSIGNED.findall(command), *_DEFAULTED.findall(command), *named})
