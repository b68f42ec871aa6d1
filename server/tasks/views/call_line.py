r"""A waiting call as one line, which the prompt of any host shows to whoever decides it.

What stands in it is chosen by an agent that may want the call approved unread. So the line is built to these rules:

- It begins with the tool: `shell: COMMAND`, or `NAME {"argument":"value"}`. A name that is no plain word is quoted.
  Arguments are JSON without spaces between them, the shortest first: a long one pushes no short one out of sight.
- Only what is plainly visible stands as it is. These are written out, as `\n`, `\x1b` or `\u202e`: what no reader sees;
  letters and digits that run from right to left, since they reorder their surroundings; what Unicode holds for another
  form of ASCII (NFKC), or looks like a quote, a slash, a bar or a # of the shell; and each space that follows another,
  or ends the line. A backslash of a command is doubled.
- What else decides what it does, and differs from the last yes, follows behind ` … `, sentence by sentence.
- What is longer than 200 characters is cut, and ends in `… (N characters, sha256:HASH)`: N counts the whole line as
  it would have been shown, and HASH is the first 8 hex digits of the SHA-256 of its UTF-8. The sign `…` stands nowhere
  else: Unicode holds it for a form of three dots.

The whole line can be read back into the call: two different calls never have the same one. Two that are cut can be
made to look alike, by trying some ten thousand: a decision is bound to the call's id, and through it to all arguments.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from server.characters import misleads, rewritten

MAX_LINE = 200
"""Characters of a line: what fits into a prompt without being folded away."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_LOOSE_SPACE = re.compile(r"(?<= ) | $")


def line(tool_name: str, args: Mapping[str, Any], differs: Sequence[str] = ()) -> str:
    """Describe what a call does, in at most MAX_LINE characters; `differs` says what else decides that."""
    whole = " … ".join([_whole(tool_name, args), *([_plain("; ".join(differs))] if differs else [])])
    if len(whole) <= MAX_LINE:
        return whole
    ending = f"… ({len(whole)} characters, sha256:{hashlib.sha256(whole.encode()).hexdigest()[:8]})"
    return whole[: MAX_LINE - len(ending)] + ending


def says(given: str, line: str) -> bool:
    """Return whether `given` repeats a line. White space may differ, by MAX_LINE more characters at most."""
    return given.split() == line.split() and len(given) <= len(line) + MAX_LINE


def _whole(tool_name: str, args: Mapping[str, Any]) -> str:
    match tool_name, args:
        case "shell", {"command": str(command), **others} if not others:
            text = f"shell: {command}".replace("\\", "\\\\")
        case _:
            text = f"{_name(tool_name)} {_arguments(args)}"
    return _plain(text)


def _plain(text: str) -> str:
    return _LOOSE_SPACE.sub(r"\\x20", rewritten(text, misleads))


def _name(tool_name: str) -> str:
    return tool_name if _PLAIN_NAME.fullmatch(tool_name) else _json(tool_name)


def _arguments(args: Mapping[str, Any]) -> str:
    return f"{{{','.join(sorted((f'{_json(name)}:{_json(value)}' for name, value in args.items()), key=len))}}}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
