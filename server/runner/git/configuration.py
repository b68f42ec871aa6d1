"""Classification of git configuration: settings that make git execute programs or include other files, and others."""

import hashlib
import re
from collections.abc import Iterator

MOST_BYTES = 64 * 1024
"""Size of a configuration file that is read; most have some hundred bytes."""

MOST_HARMFUL = 100
"""Harmful settings that are identified one by one."""

_HARMLESS = {
    "advice": "*",
    "branch": "remote merge rebase pushremote description",
    "color": "*",
    "column": "*",
    "commit": "verbose cleanup",
    "core": (
        "repositoryformatversion filemode bare logallrefupdates ignorecase precomposeunicode symlinks autocrlf eol "
        "safecrlf sharedrepository sparsecheckout sparsecheckoutcone untrackedcache preloadindex longpaths quotepath "
        "abbrev compression bigfilethreshold trustctime checkstat splitindex multipackindex commitgraph protecthfs "
        "protectntfs hidedotfiles fscache whitespace"
    ),
    "diff": "algorithm renames renamelimit submodule colormoved mnemonicprefix noprefix context",
    "extensions": "objectformat refstorage partialclone worktreeconfig noop preciousobjects relativeworktrees",
    "feature": "*",
    "fetch": "prune prunetags parallel recursesubmodules writecommitgraph",
    "gc": "auto autodetach autopacklimit reflogexpire reflogexpireunreachable pruneexpire writecommitgraph",
    "index": "version sparse threads",
    "init": "defaultbranch",
    "lfs": "repositoryformatversion access locksverify",
    "log": "*",
    "maintenance": "auto strategy",
    "merge": "ff conflictstyle renames renamelimit",
    "pack": "threads windowmemory depth window",
    "pull": "rebase ff",
    "push": "default autosetupremote followtags recursesubmodules",
    "rebase": "autosquash autostash updaterefs",
    "receive": "denycurrentbranch denynonfastforwards denydeletes",
    "remote": (
        "url fetch pushurl push tagopt mirror prune prunetags promisor partialclonefilter skipfetchall gh-resolved"
    ),
    "rerere": "enabled autoupdate",
    "status": "*",
    "submodule": "url active branch ignore path shallow recurse fetchrecursesubmodules",
    "tag": "sort",
    "user": "name email signingkey useconfigonly",
}
"""Settings that start no program, by section. All others count as harmful."""

_HARMLESS_VALUES = {
    ("core", "fsmonitor"): {"true", "false"},  # git's own daemon
    ("core", "hookspath"): {"/dev/null"},
    ("filter", "clean"): {"git-lfs clean -- %f"},  # as `git lfs install --local` writes them
    ("filter", "smudge"): {"git-lfs smudge -- %f", "git-lfs smudge --skip -- %f"},
    ("filter", "process"): {"git-lfs filter-process", "git-lfs filter-process --skip"},
    ("filter", "required"): {"true", "false"},
    ("submodule", "update"): {"checkout", "rebase", "merge", "none"},
}
"""Settings that start no program of the repository with these values."""

_PUSHED_TO = {("remote", "url"), ("remote", "pushurl"), ("branch", "remote"), ("branch", "pushremote")}
"""Settings that name a repository to push to: if it is a folder on this machine, git executes its hooks."""

# Possessive quantifiers prevent quadratic backtracking on lines of blanks.
_SECTION = re.compile(r"\[\s*+([A-Za-z]++)\s*+(?:\"[^\"\\\\]*+\")?\s*+\]")
_SETTING = re.compile(r"([A-Za-z][A-Za-z0-9-]*+)[ \t]*+(?:=[ \t]*+([^\\\"#;\x00-\x08\x0a-\x1f]*+))?")


def harmful(content: bytes) -> frozenset[str]:
    """Return the settings that may make git execute something, each identified by its text.

    A file that cannot be parsed simply counts as harmful as a whole, identified by its digest.
    """
    found = {text for section, name, value, text in _settings(content) if not _is_harmless(section, name, value)}
    return frozenset(found if len(found) <= MOST_HARMFUL else {_digest(content)})


def hooks_path(content: bytes) -> str | None:
    """Return the value of core.hooksPath; None if it is not set or cannot be parsed simply."""
    named = [value for section, name, value, _ in _settings(content) if (section, name) == ("core", "hookspath")]
    return named[-1].strip(" \t") if named else None


def pushed_to(content: bytes) -> dict[str, str]:
    """Return the push targets that may be local folders, by the text of their settings."""
    named = {text: value for section, name, value, text in _settings(content) if (section, name) in _PUSHED_TO}
    local = {text: value.strip(" \t").removeprefix("file://") for text, value in named.items()}
    return {text: value for text, value in local.items() if ":" not in value.partition("/")[0]}


def _settings(content: bytes) -> Iterator[tuple[str, str, str, str]]:
    """Yield section, name, value and text of each setting; one without a name, and no more, at an unparsable line."""
    header, section = "", ""
    for line in content.decode("utf-8", errors="surrogateescape").split("\n"):
        text = line.strip(" \t")
        if not text or text.startswith(("#", ";")):
            continue
        if named := _SECTION.fullmatch(text):
            header, section = text, named[1].lower()
        elif setting := _SETTING.fullmatch(text):
            yield section, setting[1].lower(), setting[2] or "", f"{header} {text}"
        else:
            yield "", "", "", _digest(content)
            return


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_harmless(section: str, name: str, value: str) -> bool:
    """Return whether a setting starts no program. A value with `::` may name a remote helper (`ext::`), which does."""
    if value.rstrip(" \t") in _HARMLESS_VALUES.get((section, name), ()):
        return True
    known = _HARMLESS.get(section, "").split()
    return (known == ["*"] or name in known) and "::" not in value
