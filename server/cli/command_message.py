"""The message of `remit run` and `remit send`, made from the words of the command line."""

import re
import shlex
from collections.abc import Sequence

SHELL = "shell"
"""The agent that executes commands; all others take text."""

NOBODY = "none"
"""The agent id of records, as in `storage.records.tasks`, which takes longer to import."""

_FENCE = re.compile(r"^ {0,3}(`{3,})", re.MULTILINE)
_SHOWS_COMMANDS = re.compile(r"\$ |`{3,}(sh|bash|shell|console)?\s*$", re.MULTILINE)


def message(words: Sequence[str], agent: str) -> str:
    """Return the message for an agent; for the shell agent, one command of one or more lines.

    Several words are quoted as words; a single one is taken as a shell command line. A text that begins with a prompt
    or a fence marks its commands itself.
    """
    if agent != SHELL:
        return " ".join(words)
    text = words[0] if len(words) == 1 else shlex.join(words)
    if not text.strip() or (len(words) == 1 and _SHOWS_COMMANDS.match(text)):
        return text
    return _fenced(text) if "\n" in text else f"$ {text}"


def _fenced(lines: str) -> str:
    mark = "`" * (1 + max((len(fence) for fence in _FENCE.findall(lines)), default=2))
    return f"{mark}sh\n{lines}\n{mark}"
