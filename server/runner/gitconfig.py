"""Settings of a git repository by which git executes nothing, and borrows no settings from elsewhere."""

import re

MOST_BYTES = 64 * 1024
"""Of a file of settings that is read; most have some hundred."""

_HARMLESS = {
    "core": (
        "repositoryformatversion filemode bare logallrefupdates ignorecase precomposeunicode symlinks autocrlf eol"
    ),
    "extensions": "objectformat",
    "init": "defaultbranch",
    "user": "name email",
    "remote": "url fetch",
    "branch": "remote merge rebase",
    "submodule": "url active",
}
"""What a clone, a commit and a branch write, by section; all others are taken for harmful."""

_SECTION = re.compile(r"\[\s*([A-Za-z]+)\s*(?:\"[^\"\\\\]*\")?\s*\]")
_SETTING = re.compile(r"([A-Za-z]+)[ \t]*(?:=[ \t]*([^\\\"#;\x00-\x08\x0a-\x1f]*))?")


def is_harmless(content: bytes) -> bool:
    """Whether these settings have git execute nothing; what is not plainly one of them is not."""
    known: list[str] = []
    for line in content.decode("utf-8", errors="replace").split("\n"):
        text = line.strip(" \t")
        if not text or text.startswith(("#", ";")):
            continue
        if section := _SECTION.fullmatch(text):
            known = _HARMLESS.get(section[1].lower(), "").split()
        elif not (setting := _SETTING.fullmatch(text)) or not _is_known(setting, known):
            return False
    return True


def _is_known(setting: re.Match[str], known: list[str]) -> bool:
    """`ext::` has git start a program."""
    return setting[1].lower() in known and "::" not in (setting[2] or "")
