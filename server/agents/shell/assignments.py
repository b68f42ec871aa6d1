"""The variables that a command sets, as far as its text shows them."""

import re
from collections.abc import Iterator, Set

_LONGEST_VALUE = 200
"""Characters of a value that are searched for the variable itself."""

_ASSIGNED = re.compile(r"(?<![\w$])([A-Za-z_]\w*+)(?:\[[^\]\n]{0,60}\])?+(\+?)=(?!=)")
_VALUE = re.compile(r'"[^"]*+|[^\s;&|]*+')
_EXPANDED = re.compile(r"\$\{?[#!]?([A-Za-z_]\w*+)")
_DEFAULTED = re.compile(r"\$\{([A-Za-z_]\w*+):?=")
_NAMED = re.compile(
    r"\b(?:for|select|read|mapfile|readarray|getopts|declare|typeset|local|let|unset|printf[ \t]+-v)\b([^;&|\n]*+)"
)
_EXPORTED = re.compile(r"(?:^|[;&|({])[ \t]*+(?:export|readonly)[ \t]([^;&|\n]*+)", re.MULTILINE)
_SOURCED = re.compile(r"(?:^|[;&|({])[ \t]*+(?:source|\.|eval)[ \t]", re.MULTILINE)
_NAME = re.compile(r"(?<![\w$=/.-])[A-Za-z_]\w*+(?![\w=/.-])")


def unset(command: str, reads: Set[str]) -> frozenset[str]:
    """Return the variables that a command reads, by expansion or by `export NAME`, and does not set itself.

    None of one that runs what is not in its text, which may set any.
    """
    if _SOURCED.search(command):
        return frozenset()
    exported = {name for words in _EXPORTED.findall(command) for name in _NAME.findall(words)}
    named = {name for words in _NAMED.findall(command) for name in _NAME.findall(words)}
    return frozenset({*reads, *exported} - {*_assigned(command), *_DEFAULTED.findall(command), *named})


def _assigned(command: str) -> Iterator[str]:
    """Yield the variables whose first assignment does not use their own value."""
    seen = set[str]()
    for found in _ASSIGNED.finditer(command):
        name, adds = found.groups()
        if name in seen:
            continue
        seen.add(name)
        value = _VALUE.match(command[found.end() : found.end() + _LONGEST_VALUE])
        if not adds and value and name not in _read(value[0]):
            yield name


def _read(value: str) -> list[str]:
    return [*_EXPANDED.findall(value), *(_NAME.findall(value) if "((" in value else ())]
