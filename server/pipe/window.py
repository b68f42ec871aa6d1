"""The process that an MCP host starts: passes lines between the host and a server, which it finds or starts.

Threads with blocking calls: one reads the host, one the server, one watches for the host's end.
"""

import os
import signal

from server.daemon.handshake import Link
from server.daemon.launch import RunServer, connect
from server.daemon.paths import find_state_paths
from server.errors import Code, RemitError
from server.pipe.host import HostStreams, say
from server.pipe.session import PipeSession


def main(run_server: RunServer) -> int:
    """Run the pipe until the host is gone; returns the exit status, 1 if no server was ever reached."""
    if os.isatty(0):
        say("waiting for an MCP host on standard input; for people there is `remit --help`")
    if os.environ.get("REMIT_SERVER") == "inline":
        from server.pipe.inline import serve_inline  # other windows need none of what it imports

        return 0 if serve_inline(run_server) else 1
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an end without a traceback, as SIGTERM has it anyway
    host = HostStreams(0, 1)
    host.watch(lambda: os._exit(0))
    session = PipeSession(host, _reach)
    session.run()
    return 0 if session.was_connected else 1


def _reach() -> Link:
    if server := os.environ.get("REMIT_SERVER", ""):
        raise RemitError(Code.VALIDATION_ERROR, f"REMIT_SERVER can only be 'inline' or left out, not '{server}'")
    return connect("pipe", find_state_paths())
