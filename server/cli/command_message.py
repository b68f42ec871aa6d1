"""The words after `remit run` and `remit send`, as the message that the task's agent understands."""

import re
import shlex
from collections.abc import Sequence

SHELL = "shell"
"""The agent that takes commands; all others take words."""

NOBODY = "none"
"""The agent of a task that nobody here executes, as `storage.records.tasks` has it, which takes longer to import."""

_FENCE = re.compile(r"^ {0,3}(`{3,})", re.MULTILINE)
_SHOWS_COMMANDS = re.compile(r"\$ |`{3,}(sh|bash|shell|console)?\s*$", re.MULTILINE)


def message(words: Sequence[str], agent: str) -> str:
    """The message for an agent: for the shell agent one command, of one or several lines.

    Several words stay words, whatever is in them; one alone is taken as a shell takes it. What begins with a prompt or
    a fence is a message that shows its commands already.
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
