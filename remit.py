"""The launcher: bare `remit` is the pipe that an MCP host starts, everything else is the command line.

The packages of remit have general names, and the current folder, or one in PYTHONPATH, may contain a `server` too.
So the launcher puts remit's own folder first on `sys.path` before it imports any of them.
"""

import gc
import os
import sys
from collections.abc import Callable


def main() -> None:
    """Run what the command line asks for and leave with its exit status."""
    _put_own_packages_first()
    match sys.argv[1:]:
        case []:
            from server.pipe import window

            status = window.main(_run_server)
        case ["serve"]:
            from server.daemon import launch

            status = launch.serve(_run_server)
        case _:
            from server.cli import main as cli

            status = cli.main()
    sys.exit(status)


def _run_server(ready: Callable[[], None], inline: bool) -> None:
    gc.disable()  # nothing of what is imported is garbage, and looking for some takes a fifth of the time
    from server.app import main  # a second's work, which only the process that becomes the server does

    gc.freeze()
    gc.enable()
    main(ready=ready, inline=inline)


def _put_own_packages_first() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    wheel = os.path.join(here, "remit_app")
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder of the script or, with -m, the current one
    named = {_absolute(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    sys.path.sort(key=named.__contains__)  # last, so that a user's `mcp` folder hides nobody's package
    sys.path.insert(0, wheel if os.path.isdir(wheel) else here)


def _absolute(folder: str) -> str:
    try:
        return os.path.abspath(folder)
    except FileNotFoundError:
        return folder  # the current folder was removed: nothing can be imported from beneath it


if __name__ == "__main__":
    main()
