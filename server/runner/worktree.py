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
ls objects/pack
"""

_STATUSES = {"A": "added", "D": "deleted", "M": "modified", "T": "type changed"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at a worktree has found; names and diff are as the task made them."""

    head: str
    dirty: bool
    files: list[tuple[str, str]]
    """Changed since the base commit: path and status."""

    diff: str
    """From the base commit to the files as they are, those that git does not track left out."""

    is_cut: bool
    """Whether there were more names, or more of the diff, than was read."""


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
        """See what the task has made of it. Raises RemitError (EXECUTION_ERROR)."""
        arguments = (self._repository.base, str(MOST_NAMES), str(MOST_DIFF))
        with _in_time(LOOK_SECONDS, "the worktree could not be looked at"):
            said = await _told(self._sandbox, _LOOK, arguments, self._reading)
        return _finding(said)

    async def carry(self, head: str, known: str, branch: str, stage: Path) -> None:
        """Bring a commit with its history to the user's repository, and move the branch from `known` to it.

        The objects are packed in the sandbox, and in another one, in the empty folder `stage`, checked to be sound and
        whole; only then are they copied. Raises NotCarried, and the user's repository is as it was.
        """
        try:
            with _in_time(CARRY_SECONDS, "the commits could not be packed"):
                await self._pack(head, known, stage / "incoming")
            with _in_time(CARRY_SECONDS, "the commits could not be checked"):
                pack = await self._verify(head, stage)
        except RemitError as error:
            raise NotCarried(error.message) from error
        await to_thread.run_sync(self._repository.take_pack, stage / "repository" / "objects" / "pack", pack, head)
        await to_thread.run_sync(self._repository.move_branch, branch, head, known)

    @property
    def _borrowing(self) -> tuple[str, str]:
        return str(self._repository.shallow), self._repository.objects[0]

    @property
    def _reading(self) -> SandboxPolicy:
        return replace(self._policy, workspace=self.tree, access="read-only")

    async def _pack(self, head: str, known: str, target: Path) -> None:
        wanted = (head, f"^{known}", f"^{self._repository.base}")
        async with await anyio.open_file(target, "xb") as file:

            async def keep(chunk: bytes) -> None:
                if await file.tell() + len(chunk) > self._policy.limits.file_bytes:
                    raise RemitError(Code.LIMIT_EXCEEDED, "the task's commits are larger than a file may be")
                await file.write(chunk)

            await _told(self._sandbox, _PACK, wanted, self._reading, keep)

    async def _verify(self, head: str, stage: Path) -> str:
        repository = self._repository
        arguments = (repository.format, head, repository.base, *self._borrowing)
        said = await _told(self._sandbox, _VERIFY, arguments, replace(self._policy, workspace=stage))
        packs = re.findall(rb"^(pack-[0-9a-f]{40,64})\.pack$", said, re.MULTILINE)
        if len(packs) != 1:
            raise RemitError(Code.EXECUTION_ERROR, "the commits did not come in one pack")
        return str(packs[0].decode())


async def _told(
    sandbox: Sandbox,
    script: str,
    arguments: tuple[str, ...],
    policy: SandboxPolicy,
    take: Callable[[bytes], Awaitable[None]] | None = None,
) -> bytes:
    """What a script of ours says, in the sandbox. Raises RemitError with its last words where it fails."""
    command = Command(argv=("/bin/sh", "-c", script, "sh", *arguments), env={})
    said = bytearray()

    async def keep(chunk: bytes) -> None:
        said.extend(chunk)

    async with sandbox.talk(command, policy, started=_nothing_to_note) as dialogue:
        await dialogue.close_input()
        while chunk := await dialogue.receive():
            await (take or keep)(chunk)
        ended = await dialogue.ended()
        if ended.status or ended.limit:
            raise RemitError(Code.EXECUTION_ERROR, ended.limit or _plain(dialogue.last_words))
    return bytes(said)


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


def _finding(said: bytes) -> Finding:
    answers = [line.partition(b":")[::2] for line in said.splitlines()]
    if len(answers) != 5 or any(word != b"ok" for word, _ in answers):
        raise RemitError(Code.EXECUTION_ERROR, "git cannot read the worktree any more")
    head, status, changed, untracked, diff = (base64.b64decode(answer) for _, answer in answers)
    if not re.fullmatch(rb"[0-9a-f]{40,64}\n", head):
        raise RemitError(Code.EXECUTION_ERROR, "the worktree is at no commit any more")
    return Finding(
        head=head.decode().strip(),
        dirty=bool(status),
        files=[*_changed(_whole(changed)), *((_name(name), "untracked") for name in _whole(untracked))],
        diff=diff.decode(errors="replace"),
        is_cut=len(diff) == MOST_DIFF or MOST_NAMES in (len(changed), len(untracked)),
    )


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
