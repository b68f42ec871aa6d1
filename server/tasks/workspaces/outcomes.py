"""Record of a worktree's inspection: what would be lost with it, its changes masked, and errors in words."""

from server.errors import RemitError
from server.runner.worktrees.script import ScriptFailed, plain
from server.runner.worktrees.worktree import WorktreeReport
from server.tasks.secrets.masking import NO_SECRETS, Masker, joined, own_words
from storage.records.masked import MaskedText
from storage.records.workspaces import WorktreeOutcome
from templates.steps import Steps

MOST_FILES = 200
"""Changed files that are recorded by name; the others are counted."""


def problem(finding: WorktreeReport, masker: Masker | None) -> MaskedText | None:
    """Return why something would be lost with a worktree although its HEAD was brought over."""
    if finding.failure:
        return joined(
            [failure_text(finding.failure, masker), own_words("; whether all of it is committed is not known")]
        )
    if finding.has_more:
        return own_words("it has commits on other branches or in a stash, which are not carried over")
    if finding.has_nested:
        return own_words("it has a repository within, whose commits are not carried over")
    return None


def shown(finding: WorktreeReport, masker: Masker | None, before: WorktreeOutcome) -> Steps[WorktreeOutcome]:
    """Return the record of an inspection, masked; without a masker, numbers, or what the same commit had."""
    files = finding.files[:MOST_FILES]
    kept: WorktreeOutcome = {"omitted": len(finding.files) - len(files), "cut": finding.is_cut}
    if masker is None and before.get("head") == finding.head:
        return _contents(before)
    if masker is None:
        return {**kept, "files": [], "omitted": len(finding.files)}
    stream = masker.stream()  # left unfinished where the diff was cut: its end may begin a secret
    diff = [(yield from stream.feeding(finding.diff))]
    if not finding.is_cut:
        diff.append(stream.finish())
    masked = []
    for path, status in files:
        masked.append(((yield from masker.masking(path)), status))
    return {**kept, "files": masked, "diff": joined(diff)}


def _contents(outcome: WorktreeOutcome) -> WorktreeOutcome:
    """Return what an outcome says about a worktree's contents."""
    contents = WorktreeOutcome()
    if "files" in outcome:
        contents |= {"omitted": outcome["omitted"], "cut": outcome["cut"], "files": outcome["files"]}
    if "diff" in outcome:
        contents["diff"] = outcome["diff"]
    return contents


def failure_text(error: RemitError | OSError, masker: Masker | None) -> MaskedText:
    """Return an error for the record: a program's output in it is masked before it is cut, or left out."""
    if not isinstance(error, ScriptFailed) or not error.said:
        told = str(error)
    elif masker:
        told = f"{error.failure}: {plain(masker.short(error.said))}"
    else:
        told = error.failure
    return (masker or NO_SECRETS).short(told)
