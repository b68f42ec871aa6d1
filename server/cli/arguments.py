"""The commands of the command line, their options, and the function behind each."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import Self

from server import patterns
from server.cli.commands import approvals, files, prune, run, server, tasks, update
from server.limits import GRAPH_PAGE, LIST_PAGE, MAX_GRAPH_PAGE, MAX_LIST_PAGE, SHORT_ID
from server.version import VERSION
from storage.records.states import Status

Handle = Callable[[Namespace], int]

_ID = f"a task's id, or its first characters (at least {SHORT_ID})"
_WORDS = "the command, whole or in words (-- before one with options); for an agent with a model, the job in words"


class _Commands:
    """The commands of a parser."""

    def __init__(self, parent: ArgumentParser, *, required: bool = True) -> None:
        self._commands = parent.add_subparsers(title="commands", metavar="COMMAND", required=required)

    def add(self, name: str, handle: Handle, summary: str, more: str = "") -> ArgumentParser:
        """Add a command, with the option `--json`."""
        command = self._parser(name, summary, more)
        command.add_argument("--json", action="store_true", help="print the answer as JSON")
        command.set_defaults(handle=handle)
        return command

    def add_group(self, name: str, summary: str) -> Self:
        """Add a command that has commands of its own."""
        return type(self)(self._parser(name, summary))

    def add_with_group(self, name: str, handle: Handle, summary: str) -> Self:
        """Add a command that does something by itself, and has commands of its own."""
        return type(self)(self.add(name, handle, summary), required=False)

    def add_show(self, name: str, handle: Handle, summary: str, more: str = "") -> None:
        """Add a command without `--json`: its output is for people alone."""
        self._parser(name, summary, more).set_defaults(handle=handle, json=False)

    def _parser(self, name: str, summary: str, more: str = "") -> ArgumentParser:
        description = f"{summary[0].upper()}{summary[1:]}. {more}"
        return self._commands.add_parser(name, help=summary, description=description)


def parse() -> Namespace:
    """Parse the command line: returns `json`, and `handle`, the function to call. Exits on a usage error."""
    parser = _parser()
    arguments, rest = parser.parse_known_args()
    last = arguments.last
    if rest and last and not getattr(arguments, last) and not rest[0].startswith("-"):
        # Before Python 3.13, argparse takes optional last arguments only where no option stands before them.
        one = getattr(arguments, last) is None
        setattr(arguments, last, rest.pop(0) if one else rest)
        rest = rest if one else []
    if rest:
        quoting = "; write -- before the command, or quote it whole" if "words" in arguments else ""
        parser.error(f"unrecognized arguments: {' '.join(rest)}{quoting}")
    return arguments


def _parser() -> ArgumentParser:
    top = ArgumentParser(
        prog="remit",
        description="Hand work to background agents, inside limits that hold.",
        epilog="Without a command, remit is the MCP server that a host starts. `remit COMMAND --help` tells more.",
    )
    top.add_argument("--version", action="version", version=f"remit {VERSION}")
    top.set_defaults(last=None)
    commands = _Commands(top)
    _add_delegation(commands)
    _add_overview(commands)
    _add_decisions(commands)
    _add_upkeep(commands)
    return top


def _add_delegation(commands: _Commands) -> None:
    command = commands.add(
        "run",
        run.run,
        "hand over a task and follow it",
        "Its output goes to standard output, and its outcome is the exit status: 0 completed, 130 cancelled, else that "
        "of the command that failed. Sub-tasks are followed on standard error. Calls that need approval are asked for "
        "at the terminal, those of sub-tasks shown with the command to decide them. Ctrl-C cancels the task.",
    )
    command.add_argument("words", nargs="+", metavar="COMMAND", help=_WORDS)
    command.add_argument("--title", help="a name for lists")
    command.add_argument("--agent", metavar="ID", help="who does it; see `remit agents`")
    command.add_argument("--ask", action="store_true", help="each call of the agent waits for your approval")
    command.add_argument("--list", metavar="NAME", help="the list it belongs to")
    command.add_argument(
        "--after", action="append", default=[], metavar="ID", help="a task it waits for; may be repeated"
    )
    command.add_argument("--parent", metavar="ID", help="the task it is a part of")
    command.add_argument("--max-calls", type=int, metavar="N", help="pause after so many calls")
    command.add_argument("--timeout", type=int, metavar="SECONDS", help="of work, waits for approval left out")
    command.add_argument(
        "--approval-timeout", type=int, metavar="SECONDS", help="a call that nobody decides about until then is refused"
    )
    command.add_argument(
        "--on-interrupt",
        metavar="fail|retry|resume",
        help="where the server ends in the middle of a call: fail, begin anew, or go on with that call",
    )
    command.add_argument("--workspace", metavar="PATH", help="a folder to work in, which the setting workspaces allows")
    command.add_argument(
        "--mode",
        metavar="worktree|readwrite|readonly",
        help="how it works there; in a git repository a worktree with a branch of its own, else it only reads",
    )
    command.add_argument("--shared", action="store_true", help="other tasks that say so may write the folder meanwhile")
    _add_inputs(command)
    send = commands.add(
        "send",
        run.send,
        "go on with a task that has ended, or bring it lost secrets",
        "Followed as by `remit run`.",
    )
    send.add_argument("id", metavar="ID", help=_ID)
    send.add_argument("words", nargs="*", metavar="COMMAND", help=f"{_WORDS}; left out where only secrets are missing")
    send.set_defaults(last="words")
    _add_inputs(send)
    watch = commands.add(
        "watch", run.watch, "follow a task and its sub-tasks, from its start", "Ctrl-C leaves the task alone."
    )
    watch.add_argument("id", metavar="ID", help=_ID)


def _add_inputs(command: ArgumentParser) -> None:
    command.add_argument(
        "--env", action="append", default=[], type=_variable, metavar="NAME=VALUE", help="a plain variable, kept"
    )
    command.add_argument(
        "--secret",
        action="append",
        default=[],
        type=_secret,
        metavar="NAME",
        help="a secret variable: its value is that of the variable NAME here, or else asked for",
    )
    command.add_argument(
        "--secret-name", action="append", default=[], metavar="NAME", help="a secret from the server's settings"
    )
    command.add_argument(
        "--file", action="append", default=[], metavar="PATH[:NAME]", help="a file for the task's uploads/ folder"
    )
    command.add_argument("--detach", action="store_true", help="print the task's id and leave it to itself")


def _add_overview(commands: _Commands) -> None:
    listing = commands.add(
        "list",
        tasks.tasks,
        "list tasks, the latest first",
        "!N marks N calls that wait for approval.",
    )
    listing.add_argument(
        "--status",
        action="append",
        default=[],
        metavar="STATUS",
        help=f"only these: {', '.join(Status)}, or another word for one; several with commas, or repeated",
    )
    listing.add_argument("--list", metavar="NAME", help="only those of this list")
    listing.add_argument("--parent", metavar="ID", help="only the sub-tasks of this task")
    listing.add_argument("--assigned", metavar="AGENT", help="only those that this one works on")
    listing.add_argument("--query", metavar="WORDS", help="only those with these words in title or message")
    listing.add_argument("--tree", action="store_true", help="with sub-tasks beneath their parents")
    listing.add_argument("--limit", type=int, default=LIST_PAGE, help=f"how many, up to {MAX_LIST_PAGE} ({LIST_PAGE})")
    listing.add_argument("--offset", type=int, default=0, help="how many to skip")
    show = commands.add("show", tasks.show, "show a task in full, with its sub-tasks")
    show.add_argument("id", metavar="ID", help=_ID)
    show.add_argument("--events", action="store_true", help="with its log")
    commands.add("agents", tasks.agents, "show who can be asked, and what the sandbox holds")
    cancel = commands.add("cancel", tasks.cancel, "stop a task, its sub-tasks and every process of them")
    delete = commands.add("delete", tasks.delete, "remove a task for good, with its output, files and sub-tasks")
    delete.add_argument("--cascade", action="store_true", help="and all that depend on it")
    for command in (cancel, delete):
        command.add_argument("id", metavar="ID", help=_ID)
    _add_files(commands)
    _add_records(commands)


def _add_files(commands: _Commands) -> None:
    artifacts = commands.add("artifacts", files.artifacts, "list a task's files, or print one of them")
    artifacts.add_argument("id", metavar="ID", help=_ID)
    artifacts.add_argument("path", nargs="?", metavar="PATH", help="left out: all are listed")
    artifacts.set_defaults(last="path")
    worktrees = commands.add_with_group("worktrees", files.worktrees, "list the worktrees that tasks have made")
    command = worktrees.add(
        "prune",
        files.prune,
        "remove worktrees of tasks that have ended",
        "Those of which something would be lost stay. A branch stays where it has commits of its own.",
    )
    command.add_argument("ids", nargs="*", metavar="ID", help="left out: all that can go")
    command.add_argument("--force", action="store_true", help="also those of which changes are lost; give their IDs")


def _add_records(commands: _Commands) -> None:
    command = commands.add(
        "update", update.update, "change a task, or report on one that others do", "An empty text takes a value away."
    )
    command.add_argument("id", metavar="ID", help=_ID)
    for option, metavar, summary in (
        ("--title", "TEXT", "a name for lists"),
        ("--description", "TEXT", "what it is about"),
        ("--list", "NAME", "the list it belongs to"),
        ("--assigned", "AGENT", "who works on it"),
        ("--status", "STATUS", "of a task that this server does not execute (--agent none)"),
        ("--result", "TEXT", "what a completed one has brought"),
        ("--error", "TEXT", "why a failed one has failed"),
        ("--reason", "TEXT", "why a blocked one is blocked"),
        ("--message", "TEXT", "how far it is, in words"),
    ):
        command.add_argument(option, metavar=metavar, help=summary)
    command.add_argument("--progress", type=float, metavar="SHARE", help="how far it is, from 0 to 1")
    command.add_argument("--max-calls", type=int, metavar="N", help="how many calls it may make")
    command.add_argument("--after", action="append", metavar="ID", help="all it waits for; may be repeated")
    graph = commands.add("graph", update.graph, "show how the tasks of a list depend on each other")
    graph.add_argument("list", metavar="NAME", help="the list")
    graph.add_argument("--limit", type=int, default=GRAPH_PAGE, help=f"how many, up to {MAX_GRAPH_PAGE} ({GRAPH_PAGE})")
    graph.add_argument("--offset", type=int, default=0, help="how many to skip")


def _add_decisions(commands: _Commands) -> None:
    approve = commands.add("approve", approvals.approve, "let a waiting call of a task proceed")
    approve.add_argument("--always", action="store_true", help="similar calls of this session too")
    reject = commands.add("reject", approvals.reject, "refuse a waiting call of a task")
    for command in (approve, reject):
        command.add_argument("id", metavar="ID", help=_ID)
        command.add_argument("call", nargs="?", metavar="CALL", help="left out where exactly one waits")
        command.set_defaults(last="call")
        command.add_argument("--reason", help="for the agent, and kept")
    commands.add("grants", approvals.grants, "list what was approved for always")
    revoke = commands.add("revoke", approvals.revoke, "take back what was approved for always")
    revoke.add_argument("grant", metavar="GRANT", help="see `remit grants`")


def _add_upkeep(commands: _Commands) -> None:
    commands.add_show(
        "demo", _demo, "show in ten seconds what remit does", "In a temporary folder; nothing of yours is touched."
    )
    doctor = commands.add("doctor", _doctor, "check what tasks need, and say what the sandbox does not hold")
    doctor.add_argument("--bundle", nargs="?", const="", metavar="FILE", help="write what a bug report needs to a file")
    backup = commands.add(
        "backup",
        _backup,
        "write a backup of all tasks to a file, also while the server runs",
        "It is checked before it has its name. It holds no secret's value.",
    )
    backup.add_argument("file", metavar="FILE", help="a file that is not there yet, outside the state folder")
    backup.add_argument("--folders", action="store_true", help="with the folders of the tasks, as a tar.gz")
    restore = commands.add(
        "restore",
        _restore,
        "put a backup in the place of what is there, while no server runs",
        "What was there is kept beside it. Tasks that would go on by themselves are paused.",
    )
    restore.add_argument("file", metavar="FILE", help="what `remit backup` has written, checked first and only read")
    pruning = commands.add(
        "prune",
        prune.prune,
        "remove at once what was kept long enough",
        "The server does it by itself every ten minutes; not while its clock is far ahead of what it was.",
    )
    pruning.add_argument("--now", action="store_true", help="believe the clock, however far ahead it is")
    background = commands.add_group("server", "look after the server in the background")
    background.add("status", lambda arguments: server.status(arguments.json), "tell whether it runs, and what it does")
    stop = background.add("stop", lambda arguments: server.stop(arguments.force, arguments.json), "end it")
    stop.add_argument("--force", action="store_true", help="even while tasks are at work, or it keeps secrets for them")
    background.add(
        "adopt",
        _adopt,
        "have the folders of tasks belong to the database that is there",
        "For a server that refuses to start since its database is missing or another one; `remit restore` is for where "
        "there is a backup. Folders of tasks that the database does not know are set aside, in lost/ of the state "
        "folder, for as long as the setting retention.workspaces says; worktrees stay there.",
    )


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ArgumentTypeError("write it as NAME=VALUE")
    return name, value


def _secret(text: str) -> str:
    if not re.match(patterns.NAME, text):  # maybe NAME=VALUE: not repeated, it would be shown
        raise ArgumentTypeError("must be the name alone, like API_KEY: other users can see a value on the command line")
    return text


def _demo(_: Namespace) -> int:
    from server.cli.commands import demo  # imports the MCP SDK

    return demo.main()


def _adopt(arguments: Namespace) -> int:
    from server.cli.commands import adoption  # imports the database

    return adoption.adopt(arguments)


def _doctor(arguments: Namespace) -> int:
    from server.cli.commands import doctor  # imports the sandbox

    return doctor.examine(arguments)


def _backup(arguments: Namespace) -> int:
    from server.cli.commands import backups  # imports the sandbox

    return backups.backup(arguments)


def _restore(arguments: Namespace) -> int:
    from server.cli.commands import backups

    return backups.restore(arguments)
