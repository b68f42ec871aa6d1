"""A worktree of a user's repository for one task: a separate repository that borrows the user's objects.

It is not one of git's linked worktrees: committing in one of those takes write access to the user's own repository.
All programs that read it run in the sandbox, as its configuration and files are an adversary's.
"""

import base64
import binascii
import re
from codecs import getincrementaldecoder
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio import to_thread

from server.errors import Code, RemitError
from server.runner.git.repository import SHALLOW, Repository
from server.runner.policy import SandboxPolicy
from server.runner.sandbox import Sandbox
from server.runner.worktrees.branch import Branch
from server.runner.worktrees.script import Script, ScriptFailed, keeping

MAKE_SECONDS = 600
"""Time limit of a checkout: a large project on a slow disk."""

STATUS_SECONDS = 5
"""Time limit for finding out whether the user's files are committed; the caller who creates a task waits for it."""

LOOK_SECONDS = 20
"""Time limit for inspecting a worktree; questions not answered by then count as unknown."""

CARRY_SECONDS = 300
"""Time limit for packing the commits, and for checking them."""

MOST_NAMES = 1024**2
"""Bytes of the list of changed files that are read, and of the untracked ones."""

MOST_DIFF = 64 * 1024
"""Bytes of the diff that are read."""

MOST_SAID = 2 * (2 * MOST_NAMES + MOST_DIFF)
"""Bytes of all answers of an inspection, in base64, with a reserve."""

_AUTHOR = "remit task"
_MAIL = "task@remit.invalid"  # a reserved domain: RFC 2606

_MAKE = Script(
    f"""
set -e
git init -q -b "$1" --template= --object-format="$2" tree
cd tree
mkdir -p .git/info .git/hooks .git/objects/info
printf '%s\\n' "$4" > .git/objects/info/alternates
if [ -f ../{SHALLOW} ]; then cp ../{SHALLOW} .git/; fi
git config user.name "$5"
git config user.email "$6"
git config gc.auto 0
git update-ref "refs/heads/$1" "$3"
git reset -q --hard
""",
    MAKE_SECONDS,
    "the worktree could not be checked out",
)

# Git runs with a configuration of the server's own, plus the task's settings that tell how to read its files. Other
# settings can name programs, such as filters, and nothing of a task's may run after its end. For the same reason,
# nested repositories are not entered. Each answer is one line: `ok` or `failed`, and the output, cut, in base64.
_LOOK = Script(
    """
there=$PWD/.git own=$TMPDIR/git
mkdir "$own"
for each in "$there"/*; do
    case ${each##*/} in HEAD | config | config.worktree | commondir | hooks) ;; *) ln -s "$each" "$own" ;; esac
done
head -c 4096 "$there/HEAD" > "$own/HEAD"
for name in core.repositoryFormatVersion extensions.objectFormat extensions.refStorage \
    core.fileMode core.symlinks core.ignoreCase core.precomposeUnicode core.autocrlf core.eol; do
    value=$(git config -f "$there/config" "$name") && git config -f "$own/config" "$name" "$value"
done
export GIT_DIR="$own" GIT_WORK_TREE="$PWD" GIT_OPTIONAL_LOCKS=0 GIT_NO_REPLACE_OBJECTS=1
g() { git -c core.fsmonitor=false -c core.quotePath=false -c index.threads=1 "$@"; }
nested() {
    g diff-index --cached --raw --no-renames --ignore-submodules=dirty "$1" > "$TMPDIR/raw" || return 1
    grep '^:[0-7]* 160000' "$TMPDIR/raw"
    ls -A .git/modules
    g ls-files -sz | sed -zn 's/^160000 [0-9a-f]* [0-3]\t//p' | xargs -0rI{} ls -d ./{}/.git
    return 0
}
answer() {
    most=$1; shift
    if "$@" > "$TMPDIR/out" 2> /dev/null; then printf ok:; else printf failed:; fi
    head -c "$most" "$TMPDIR/out" | base64 -w 0
    echo
}
answer 200 g rev-parse --verify -q 'HEAD^{commit}'
answer 1 g status --porcelain -z --no-renames --untracked-files=normal --ignore-submodules=dirty
answer 1 g rev-list -n 1 --objects --exclude='refs/remotes/*' --all --not HEAD "$1"
answer 1 nested "$1"
answer "$2" g diff --name-status -z --no-renames --no-ext-diff --ignore-submodules=dirty "$1" --
answer "$2" g ls-files -z --others --exclude-standard
answer "$3" g diff --no-color --no-renames --no-ext-diff --no-textconv --ignore-submodules=dirty "$1" --
""",
    LOOK_SECONDS,
    "the worktree could not be looked at",
)

_STATUS = Script(
    """
set -e
g() { git --no-optional-locks -c core.fsmonitor=false -c index.threads=1 "$@"; }
g status --porcelain --no-renames --untracked-files=normal > "$TMPDIR/out"
head -c 1 "$TMPDIR/out"
""",
    STATUS_SECONDS,
    "git status did not end",
)

_PACK = Script(
    """
export GIT_NO_REPLACE_OBJECTS=1 GIT_NO_LAZY_FETCH=1 GIT_ALLOW_PROTOCOL=none
printf '%s\\n' "$@" | git pack-objects --revs --thin --stdout -q
""",
    CARRY_SECONDS,
    "the commits could not be packed",
)

_VERIFY = Script(
    f"""
set -e
git init -q --bare --template= --object-format="$1" repository
cd repository
mkdir -p objects/info
printf '%s\\n' "$4" > objects/info/alternates
if [ -f ../{SHALLOW} ]; then cp ../{SHALLOW} .; fi
git index-pack --stdin --fix-thin --strict < ../incoming >&2
git rev-list --objects --quiet "$2" "^$3"
git count-objects -v | grep -qx 'in-pack: 0' || ls objects/pack
""",
    CARRY_SECONDS,
    "the commits could not be checked",
)

QUESTIONS = 7
"""Questions of an inspection."""

_STATUSES = {"A": "added", "D": "deleted", "M": "modified", "T": "type changed"}


@dataclass(frozen=True, slots=True)
class WorktreeReport:
    """The result of inspecting a worktree. Names and diff are the task's, not masked."""

    head: str
    dirty: bool
    """Whether anything is not committed, or this is unknown."""

    has_more: bool
    """Whether other branches or a stash have commits that HEAD does not contain, or this is unknown."""

    has_nested: bool
    """Whether a nested repository may have commits of its own, or this is unknown."""

    files: list[tuple[str, str]]
    """Files changed since the base commit: path and status."""

    diff: str
    """The diff from the base commit to the working tree, without untracked files."""

    is_cut: bool
    """Whether the names or the diff exceeded their limits."""

    failure: ScriptFailed | None
    """Why some answers are unknown; None if all are known."""

    @property
    def size(self) -> int:
        """Number of characters of names and diff."""
        return len(self.diff) + sum(len(path) for path, _ in self.files)


class _Answer(NamedTuple):
    is_whole: bool
    said: bytes


_NOTHING = _Answer(True, b"")
_MISSING = _Answer(False, b"")


async def is_committed(repository: Repository, sandbox: Sandbox, policy: SandboxPolicy) -> bool:
    """Return whether the user's working tree has no uncommitted changes. Raises RemitError (EXECUTION_ERROR)."""
    assert repository.top
    top, seen = Path(repository.top), tuple(map(Path, repository.reaches))
    reading = replace(policy, workspace=top, folder=None, access="read-only", owner="user", network="none", home=None)
    return not await _STATUS.told(sandbox, replace(reading, readable=seen, pinned=(top, *seen)))


def tree_of(folder: Path) -> Path:
    """Return the path of the worktree in a task's own folder."""
    return folder / "tree"


class Worktree:
    """The worktree of one task, in the task's own folder."""

    def __init__(self, repository: Repository, folder: Path, sandbox: Sandbox, policy: SandboxPolicy) -> None:
        """Prepare for git commands. `policy` is the task's; its workspace, paths and network are replaced here."""
        self._repository = repository
        self.tree = tree_of(folder)
        self._sandbox = sandbox
        borrowed = tuple(map(Path, repository.objects))
        confined = replace(policy, folder=None, readable=borrowed, pinned=borrowed, network="none", home=None)
        self._policy = replace(confined, hooks="writable")

    async def make(self, branch: str, start: str, stage: Path) -> None:
        """Make the worktree at the commit `start` in the empty folder `stage`, then move it. Raises RemitError."""
        await to_thread.run_sync(self._repository.copy_shallow, stage)
        arguments = (branch, self._repository.format, start, self._repository.objects[0], _AUTHOR, _MAIL)
        await _MAKE.told(self._sandbox, replace(self._policy, workspace=stage), *arguments)
        await to_thread.run_sync(tree_of(stage).rename, self.tree)

    async def look(self) -> WorktreeReport:
        """Inspect what the task has changed. Raises RemitError (EXECUTION_ERROR) if not even its commit can be read."""
        arguments = (self._repository.base, str(MOST_NAMES), str(MOST_DIFF))
        said = bytearray()
        failure = None
        try:
            await _LOOK.tell(self._sandbox, self._reading, *arguments, take=keeping(said, MOST_SAID))
        except ScriptFailed as error:
            failure = error
        return _finding(bytes(said), failure)

    async def bring(self, head: str, known: str, branch: Branch, stage: Path) -> None:
        """Copy a commit with its history to the user's repository, so that the branch can move from `known` to it.

        The objects are packed in one sandbox and checked for integrity and completeness in another, in the empty folder
        `stage`, before they are copied. Raises NotCarried or another RemitError.
        """
        tip = await branch.check(known)
        await to_thread.run_sync(self._repository.copy_shallow, stage)
        await self._pack(head, tip, stage / "incoming")
        if pack := await self._verify(head, stage):
            packs = stage / "repository" / "objects" / "pack"
            await to_thread.run_sync(self._repository.take_pack, packs, pack, branch.name.rpartition("/")[2])

    @property
    def _reading(self) -> SandboxPolicy:
        return replace(self._policy, workspace=self.tree, access="read-only")

    async def _pack(self, head: str, tip: str | None, target: Path) -> None:
        """Pack the commits since the branch's tip; since the base if the branch is gone, as its commits may be, too."""
        wanted = (head, f"^{tip or self._repository.base}", f"^{self._repository.base}")
        async with await anyio.open_file(target, "xb") as file:

            async def keep(chunk: bytes) -> None:
                if await file.tell() + len(chunk) > self._policy.limits.file_bytes:
                    raise RemitError(Code.LIMIT_EXCEEDED, "the task's commits are larger than a file may be")
                await file.write(chunk)

            await _PACK.tell(self._sandbox, self._reading, *wanted, take=keep)

    async def _verify(self, head: str, stage: Path) -> str | None:
        """Check the pack and return its name; None if it is empty, as the user's repository has every object."""
        repository = self._repository
        arguments = (repository.format, head, repository.base, repository.objects[0])
        said = await _VERIFY.told(self._sandbox, replace(self._policy, workspace=stage), *arguments)
        packs = re.findall(rb"^(pack-[0-9a-f]{40,64})\.pack$", said, re.MULTILINE)
        if len(packs) > 1:
            raise RemitError(Code.EXECUTION_ERROR, "the commits did not come in one pack")
        return str(packs[0].decode()) if packs else None


def _finding(said: bytes, failure: ScriptFailed | None) -> WorktreeReport:
    """Return the report for the answers. A missing one counts as unknown; without HEAD, raises RemitError."""
    head, status, more, nested, changed, untracked, diff = _answers(said)
    if not head.is_whole:
        raise failure or _unreadable()
    if not re.fullmatch(rb"[0-9a-f]{40,64}\n", head.said):
        raise RemitError(Code.EXECUTION_ERROR, "the worktree's HEAD is no commit any more")
    return WorktreeReport(
        head=head.said.decode().strip(),
        dirty=status != _NOTHING,
        has_more=more != _NOTHING,
        has_nested=nested != _NOTHING,
        files=[*_changed(_whole(changed.said)), *((_name(name), "untracked") for name in _whole(untracked.said))],
        diff=_text(_without_headings(diff.said), is_cut=_is_cut(diff, MOST_DIFF)),
        is_cut=_is_cut(changed, MOST_NAMES) or _is_cut(untracked, MOST_NAMES) or _is_cut(diff, MOST_DIFF),
        failure=failure,
    )


def _answers(said: bytes) -> list[_Answer]:
    """Return one answer for each question, `_MISSING` for those that did not come. Raises RemitError for others."""
    lines = [line.partition(b":") for line in said.split(b"\n")[:-1]]
    try:
        found = [_Answer(word == b"ok", base64.b64decode(answer, validate=True)) for word, _, answer in lines]
    except binascii.Error:
        raise _unreadable() from None
    if len(found) > QUESTIONS:
        raise _unreadable()
    return found + [_MISSING] * (QUESTIONS - len(found))


def _unreadable() -> RemitError:
    return RemitError(Code.EXECUTION_ERROR, "git cannot read the worktree any more")


def _is_cut(answer: _Answer, most: int) -> bool:
    return not answer.is_whole or len(answer.said) == most


def _without_headings(diff: bytes) -> bytes:
    """Return a diff without the section headings in its hunk headers: git cuts them, and could cut a secret in two."""
    return re.sub(rb"(?m)^(@@ -[0-9,]+ \+[0-9,]+ @@).*$", rb"\1", diff)


def _text(diff: bytes, *, is_cut: bool) -> str:
    """Decode a diff; drop a character that was cut in two, as it might hide the beginning of a secret before it."""
    return getincrementaldecoder("utf-8")("replace").decode(diff, final=not is_cut)


def _whole(names: bytes) -> list[bytes]:
    """Return the names that were read completely."""
    return names.split(b"\0")[:-1]


def _changed(parts: list[bytes]) -> list[tuple[str, str]]:
    pairs = zip(parts[::2], parts[1::2], strict=False)
    return [(_name(path), _STATUSES.get(status.decode(errors="replace"), "changed")) for status, path in pairs]


def _name(name: bytes) -> str:
    return name.decode(errors="replace")
