"""A worktree of a user's repository for one task: a repository of its own that borrows the user's objects.

Not one of git's linked worktrees: to commit in one of those takes the right to write to the user's own repository.
Whatever reads this one runs in the sandbox, since its settings and files are an adversary's.
"""

import base64
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
from anyio import to_thread

from server.errors import Code, RemitError
from server.runner.policy import Command, SandboxPolicy
from server.runner.process import ProcessMark
from server.runner.repository import NotCarried, Repository
from server.runner.sandbox import Sandbox

MAKE_SECONDS = 600
"""For a checkout: a large project on a slow disk."""

STATUS_SECONDS = 5
"""For a look at whether the user's own files are committed, for which whoever creates a task waits."""

LOOK_SECONDS = 20
"""For a look at one; what is not done by then is not told."""

CARRY_SECONDS = 300
"""For each of the two steps of carrying commits over."""

MOST_NAMES = 1024**2
"""Bytes of the names of changed files that are read."""

MOST_DIFF = 64 * 1024
"""Bytes of the diff that are read."""

_AUTHOR = "remit task"
_MAIL = "task@remit.invalid"  # a domain that RFC 2606 keeps free

_MAKE = """
set -e
git init -q -b "$1" --template= --object-format="$2" tree
cd tree
mkdir -p .git/info .git/hooks .git/objects/info
printf '%s\\n' "$5" > .git/objects/info/alternates
if [ -f "$4" ]; then cp -- "$4" .git/shallow; fi
git config user.name "$6"
git config user.email "$7"
git config gc.auto 0
git update-ref "refs/heads/$1" "$3"
git reset -q --hard
"""

# Each answer is a line: how it ended, and what came out of it, cut, in base64.
_LOOK = """
export GIT_OPTIONAL_LOCKS=0 GIT_NO_REPLACE_OBJECTS=1
answer() {
    most=$1; shift
    if git -c core.fsmonitor=false "$@" > "$TMPDIR/out" 2> /dev/null; then printf ok:; else printf failed:; fi
    head -c "$most" "$TMPDIR/out" | base64 -w 0
    echo
}
answer 200 rev-parse --verify -q 'HEAD^{commit}'
answer 1 status --porcelain -z --no-renames --untracked-files=normal
answer 1 rev-list -n 1 --exclude='refs/remotes/*' --all --not HEAD "$1"
answer "$2" diff --name-status -z --no-renames --no-ext-diff "$1" --
answer "$2" ls-files -z --others --exclude-standard
answer "$3" diff --no-color --no-renames --no-ext-diff --no-textconv "$1" --
"""

_STATUS = """
git --no-optional-locks -c core.fsmonitor=false status --porcelain --no-renames --untracked-files=normal > "$TMPDIR/out"
head -c 1 "$TMPDIR/out"
"""

_PACK = """
export GIT_NO_REPLACE_OBJECTS=1
printf '%s\\n' "$@" | git pack-objects --revs --thin --stdout -q
"""

_VERIFY = """
set -e
git init -q --bare --template= --object-format="$1" repository
cd repository
mkdir -p objects/info
printf '%s\\n' "$5" > objects/info/alternates
if [ -f "$4" ]; then cp -- "$4" shallow; fi
git index-pack --stdin --fix-thin --strict < ../incoming >&2
git rev-list --objects --quiet "$2" "^$3"
git count-objects -v | grep -qx 'in-pack: 0' || ls objects/pack
"""

_NOTHING = (True, b"")  # an answer that came and said nothing

_Take = Callable[[bytes], Awaitable[None]]

_STATUSES = {"A": "added", "D": "deleted", "M": "modified", "T": "type changed"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at a worktree has found; names and diff are as the task made them."""

    head: str
    dirty: bool
    """Whether anything is not committed, or that is not known."""

    has_more: bool
    """Whether there are commits that HEAD does not lead to, on other branches or in a stash, or that is not known."""

    files: list[tuple[str, str]]
    """Changed since the base commit: path and status."""

    diff: str
    """From the base commit to the files as they are, those that git does not track left out."""

    is_cut: bool
    """Whether there were more names, or more of the diff, than was read."""

    failure: str | None
    """Why not all of it was found out."""


async def is_committed(repository: Repository, sandbox: Sandbox, policy: SandboxPolicy) -> bool:
    """Whether the user's working files are as they were committed. Raises RemitError (EXECUTION_ERROR)."""
    assert repository.top
    seen = tuple(map(Path, repository.reaches))
    reading = replace(policy, workspace=Path(repository.top), folder=None, access="read-only", owner="user")
    with _in_time(STATUS_SECONDS, "git status did not end"):
        said = await _told(sandbox, f"set -e{_STATUS}", (), replace(reading, readable=seen, network="none", home=None))
    return not said


def tree_of(folder: Path) -> Path:
    """Where in the own folder of a task its worktree is."""
    return folder / "tree"


class Worktree:
    """The worktree of one task, in the task's own folder."""

    def __init__(self, repository: Repository, folder: Path, sandbox: Sandbox, policy: SandboxPolicy) -> None:
        """`policy` is that of the task's commands; what is its own business is replaced here."""
        self._repository = repository
        self.tree = tree_of(folder)
        self._sandbox = sandbox
        shallow = (repository.shallow,) if repository.shallow.is_file() else ()
        borrowed = (*map(Path, repository.objects), *shallow)
        self._policy = replace(policy, folder=None, readable=borrowed, network="none", hooks="writable", home=None)

    async def make(self, branch: str, start: str, stage: Path) -> None:
        """Check a commit out, in the empty folder `stage` first. Raises RemitError (EXECUTION_ERROR)."""
        arguments = (branch, self._repository.format, start, *self._borrowing, _AUTHOR, _MAIL)
        with _in_time(MAKE_SECONDS, "the worktree could not be checked out"):
            await _told(self._sandbox, _MAKE, arguments, replace(self._policy, workspace=stage))
        await to_thread.run_sync(tree_of(stage).rename, self.tree)

    async def look(self) -> Finding:
        """See what the task has made of it: at least the commit it is at. Raises RemitError (EXECUTION_ERROR)."""
        arguments = (self._repository.base, str(MOST_NAMES), str(MOST_DIFF))
        said = bytearray()
        failure = None
        try:
            with _in_time(LOOK_SECONDS, "the worktree could not be looked at"):
                await _tell(self._sandbox, _LOOK, arguments, self._reading, _keeping(said))
        except RemitError as error:
            failure = error.message
        return _finding(bytes(said), failure)

    async def carry(self, head: str, known: str, branch: str, stage: Path) -> None:
        """Bring a commit with its history to the user's repository, and move the branch from `known` to it.

        The objects are packed in the sandbox, and in another one, in the empty folder `stage`, checked to be sound and
        whole; only then are they copied. Raises NotCarried, and the branch is as it was.
        """
        tip = await to_thread.run_sync(self._repository.check_branch, branch, known)
        try:
            with _in_time(CARRY_SECONDS, "the commits could not be packed"):
                await self._pack(head, tip, stage / "incoming")
            with _in_time(CARRY_SECONDS, "the commits could not be checked"):
                pack = await self._verify(head, stage)
        except RemitError as error:
            raise NotCarried(error.message) from error
        if pack:
            packs = stage / "repository" / "objects" / "pack"
            await to_thread.run_sync(self._repository.take_pack, packs, pack, branch.rpartition("/")[2])
        await to_thread.run_sync(self._repository.move_branch, branch, head, known)

    @property
    def _borrowing(self) -> tuple[str, str]:
        return str(self._repository.shallow), self._repository.objects[0]

    @property
    def _reading(self) -> SandboxPolicy:
        return replace(self._policy, workspace=self.tree, access="read-only")

    async def _pack(self, head: str, tip: str | None, target: Path) -> None:
        """Pack what the branch does not have; where it is gone, its commits may soon be, too."""
        wanted = (head, f"^{tip or self._repository.base}", f"^{self._repository.base}")
        async with await anyio.open_file(target, "xb") as file:

            async def keep(chunk: bytes) -> None:
                if await file.tell() + len(chunk) > self._policy.limits.file_bytes:
                    raise RemitError(Code.LIMIT_EXCEEDED, "the task's commits are larger than a file may be")
                await file.write(chunk)

            await _tell(self._sandbox, _PACK, wanted, self._reading, keep)

    async def _verify(self, head: str, stage: Path) -> str | None:
        """The name of the pack; None where nothing is in it, since the user's repository has it all."""
        repository = self._repository
        arguments = (repository.format, head, repository.base, *self._borrowing)
        said = await _told(self._sandbox, _VERIFY, arguments, replace(self._policy, workspace=stage))
        packs = re.findall(rb"^(pack-[0-9a-f]{40,64})\.pack$", said, re.MULTILINE)
        if len(packs) > 1:
            raise RemitError(Code.EXECUTION_ERROR, "the commits did not come in one pack")
        return str(packs[0].decode()) if packs else None


async def _told(sandbox: Sandbox, script: str, arguments: tuple[str, ...], policy: SandboxPolicy) -> bytes:
    """What a script of ours says, in the sandbox. Raises RemitError with its last words where it fails."""
    said = bytearray()
    await _tell(sandbox, script, arguments, policy, _keeping(said))
    return bytes(said)


async def _tell(sandbox: Sandbox, script: str, arguments: tuple[str, ...], policy: SandboxPolicy, take: _Take) -> None:
    """Have what a script of ours says taken as it comes. Raises RemitError with its last words where it fails."""
    command = Command(argv=("/bin/sh", "-c", script, "sh", *arguments), env={})
    async with sandbox.talk(command, policy, started=_nothing_to_note) as dialogue:
        await dialogue.close_input()
        while chunk := await dialogue.receive():
            await take(chunk)
        ended = await dialogue.ended()
        if ended.status or ended.limit:
            raise RemitError(Code.EXECUTION_ERROR, ended.limit or _plain(dialogue.last_words))


def _keeping(said: bytearray) -> _Take:
    async def keep(chunk: bytes) -> None:
        said.extend(chunk)

    return keep


@contextmanager
def _in_time(seconds: float, failure: str) -> Iterator[None]:
    """Give the block so long. Raises RemitError (EXECUTION_ERROR) that says what failed, and why."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise RemitError(Code.EXECUTION_ERROR, f"{failure} in {seconds:.0f} s") from None
    except RemitError as error:
        raise RemitError(Code.EXECUTION_ERROR, f"{failure}: {error.message}") from error


async def _nothing_to_note(_: ProcessMark) -> None:
    """It ends with this server: bubblewrap's and the supervisor's own doing."""


def _finding(said: bytes, failure: str | None) -> Finding:
    """What the answers tell. HEAD must be there; what else failed, or did not come in time, counts as not known."""
    answers = [(word == b"ok", base64.b64decode(answer)) for word, _, answer in _lines(said)]
    answers += [(False, b"")] * (6 - len(answers))
    (is_read, head), status, more, changed, untracked, diff = answers
    if not is_read:
        raise RemitError(Code.EXECUTION_ERROR, failure or "git cannot read the worktree any more")
    if not re.fullmatch(rb"[0-9a-f]{40,64}\n", head):
        raise RemitError(Code.EXECUTION_ERROR, "the worktree is at no commit any more")
    return Finding(
        head=head.decode().strip(),
        dirty=status != _NOTHING,
        has_more=more != _NOTHING,
        files=[*_changed(_whole(changed[1])), *((_name(name), "untracked") for name in _whole(untracked[1]))],
        diff=diff[1].decode(errors="replace"),
        is_cut=_is_cut(changed, MOST_NAMES) or _is_cut(untracked, MOST_NAMES) or _is_cut(diff, MOST_DIFF),
        failure=failure,
    )


def _lines(said: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """The answers that have come to their end."""
    return (line.partition(b":") for line in said.split(b"\n")[:-1])


def _is_cut(answer: tuple[bool, bytes], most: int) -> bool:
    is_whole, content = answer
    return not is_whole or len(content) == most


def _whole(names: bytes) -> list[bytes]:
    """The names that were read to their end."""
    return names.split(b"\0")[:-1]


def _changed(parts: list[bytes]) -> list[tuple[str, str]]:
    pairs = zip(parts[::2], parts[1::2], strict=False)
    return [(_name(path), _STATUSES.get(status.decode(errors="replace"), "changed")) for status, path in pairs]


def _name(name: bytes) -> str:
    return name.decode(errors="replace")


def _plain(words: str) -> str:
    """What a program of an adversary says last, in one line of plain characters."""
    return re.sub(r"[^\x20-\x7e]+", " ", words.strip())[-500:] or "no reason was given"
