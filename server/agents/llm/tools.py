"""The model's tools: run commands, and read, write and list files, all in the sandbox."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.agents.interface import Program, RunCommand, ToolResult, Turn
from server.agents.tool import Tool
from server.limits import PATH_MAX
from server.plain_words import in_words
from server.runner.policy import LONGEST_STRING

MAX_READ = 50_000
"""Bytes of one read: about what a model takes in at once. `offset` goes on."""

_MARGIN = 64 * 1024
"""Bytes that are read before and after a piece, for a secret that it cuts in two: as long as a value may be."""

_READ = 'tail -c "+$2" -- "$1" | head -c "$3"'
_WRITE = 'case $1 in */*) mkdir -p -- "${1%/*}";; esac && cat > "$1"'
_LIST = 'ls -lAp -- "$1" | head -n 1000'


class _Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shell(_Args):
    """A command."""

    command: str = Field(min_length=1, max_length=100_000, description="for sh, in the task's folder")


class ReadFile(_Args):
    """A piece of a file."""

    path: str = Field(min_length=1, max_length=PATH_MAX)
    offset: int = Field(0, ge=0, description="bytes to skip")
    limit: int = Field(MAX_READ, ge=1, le=MAX_READ, description="bytes to read")


class WriteFile(_Args):
    """A whole file."""

    path: str = Field(min_length=1, max_length=PATH_MAX)
    content: str = Field(max_length=2_000_000, description="all of it; an older file is replaced")


class ListFiles(_Args):
    """A folder."""

    path: str = Field(".", min_length=1, max_length=PATH_MAX)


A = TypeVar("A", bound=_Args)


async def _shell(turn: Turn, key: str, args: Shell) -> ToolResult:
    finished = await turn.run(key, RunCommand(argv=("/bin/sh", "-c", args.command)))
    notes = [f"[ended: {finished.limit}]"] if finished.limit else []
    if finished.status:
        notes.append(f"[exit status {finished.status}]")
    return ToolResult("\n".join(filter(None, [finished.output.rstrip("\n"), *notes])), failed=bool(finished.status))


async def _read_file(turn: Turn, key: str, args: ReadFile) -> ToolResult:
    return await turn.perform(key, partial(_piece, turn, args))


async def _piece(turn: Turn, args: ReadFile) -> ToolResult:
    """Return a piece of a file, masked even where the piece begins or ends inside a secret."""
    start = min(args.offset, _MARGIN)
    stop = start + args.limit
    script = (_READ, args.path, str(args.offset - start + 1), str(stop + _MARGIN))
    said, failure = await _said(turn, script)
    if failure is not None:
        return ToolResult(failure, failed=True)
    text, before, until = (part.decode(errors="replace") for part in (said, said[:start], said[:stop]))
    return ToolResult(await turn.mask_within(text, len(before), len(until)))


async def _write_file(turn: Turn, key: str, args: WriteFile) -> ToolResult:
    return await turn.perform(key, partial(_quietly, turn, (_WRITE, args.path), args.content.encode()))


async def _list_files(turn: Turn, key: str, args: ListFiles) -> ToolResult:
    return await turn.perform(key, partial(_quietly, turn, (_LIST, args.path)))


async def _quietly(turn: Turn, script: tuple[str, ...], given: bytes = b"") -> ToolResult:
    """Run one of this module's scripts, and return its output."""
    said, failure = await _said(turn, script, given)
    return ToolResult(said.decode(errors="replace")) if failure is None else ToolResult(failure, failed=True)


async def _said(turn: Turn, script: tuple[str, ...], given: bytes = b"") -> tuple[bytes, str | None]:
    """Run one of this module's scripts without the task's variables; return its output, and why it failed, or None."""
    text, *args = script
    program = Program(argv=("/bin/sh", "-c", text, "sh", *args), inherits=False)
    said = b""
    async with turn.talk(program) as process_io:
        with suppress(anyio.BrokenResourceError):  # why it does not listen is in its last words
            await process_io.send(given)
        await process_io.close_input()
        while chunk := await process_io.receive():
            said += chunk
        ended = await process_io.ended()
        failure = ended.limit or process_io.last_words.strip()
    if ended.status or ended.limit or (failure and not said):  # of a pipeline, the status is its last part's
        return said, failure or f"exit status {ended.status}"
    return said, None


class _SandboxTool(Generic[A]):
    """A tool whose arguments are one of the models above."""

    def __init__(self, args: type[A], do: Callable[[Turn, str, A], Awaitable[ToolResult]]) -> None:
        self._args = args
        self._do = do

    async def execute(self, turn: Turn, key: str, args: Mapping[str, Any]) -> ToolResult:
        return await self._do(turn, key, self._args.model_validate(args))

    def check(self, args: Mapping[str, Any]) -> None:
        try:
            checked = self._args.model_validate(args)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            raise ValueError("; ".join(map(_told, problems))) from None
        if any("\0" in value for value in checked.model_dump(exclude={"content"}).values() if isinstance(value, str)):
            raise ValueError("an argument holds a NUL character")
        if isinstance(checked, Shell) and len(checked.command.encode(errors="replace")) > LONGEST_STRING:
            raise ValueError(f"command is longer than {LONGEST_STRING} bytes; write it to a file and run that")


def _told(problem: Any) -> str:
    text = in_words(problem["type"], problem["msg"], problem.get("ctx", {}))
    return f"{'.'.join(map(str, problem['loc']))}: {text}"


def _tool(
    name: str,
    description: str,
    args: type[A],
    do: Callable[[Turn, str, A], Awaitable[ToolResult]],
    describe: Callable[[Mapping[str, Any]], str],
    *,
    is_command: bool = False,
) -> Tool:
    hand = _SandboxTool(args, do)
    return Tool(
        name=name,
        description=description,
        schema=args.model_json_schema(),
        execute=hand.execute,
        check=hand.check,
        describe=describe,
        is_command=is_command,
    )


HANDS = (
    _tool(
        "shell",
        "Run a command with sh in the task's folder. Commands share nothing but that folder; output is bounded.",
        Shell,
        _shell,
        lambda args: f"Run: {' '.join(args['command'].split())}",
        is_command=True,
    ),
    _tool("read_file", "Read a text file.", ReadFile, _read_file, lambda args: f"Read {args['path']}"),
    _tool(
        "write_file",
        "Write a text file; folders on the way are made.",
        WriteFile,
        _write_file,
        lambda args: f"Write {args['path']} ({len(args['content'])} characters)",
    ),
    _tool("list_files", "List a folder.", ListFiles, _list_files, lambda args: f"List {args.get('path', '.')}"),
)
"""The tools that every task of this agent has."""
