"""Start the dashboard: the real `streamlit run`, in this process's place, behind the dashboard's own guard."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from pathlib import Path

from core.errors import UserError

FLAGS = (
    "--server.headless", "true", "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none",
    "--logger.hideWelcomeMessage", "true",
)  # fmt: skip
"""No e-mail prompt, no usage statistics (this works offline), no watching of source files, no second greeting."""
TOKEN = "RETRIEVAL_LENS_TOKEN"  # noqa: S105
"""Where the dashboard looks for its token: other users of this machine see a command line, but no environment."""


NEW_RUNS = "RETRIEVAL_LENS_NEW_RUNS"
"""Whether visitors may start runs from the Runs page where other machines reach the address: "on"."""


def serve(host: str, port: int, *, no_token: bool = False, new_runs: bool = False) -> None:
    """Replace this process by Streamlit on http://host:port; `dashboard/app.py` prints the link to open.

    Where other machines reach that address, visitors need a token, which the link holds; `no_token` lets everybody in,
    and `new_runs` lets them start runs on folders of this machine.

    Raises:
        UserError: the address or the port cannot be served on.
    """
    app = app_path()
    _check_port(host, port)
    environment = dict(os.environ)
    if no_token:
        environment[TOKEN] = "off"
    elif environment.get(TOKEN) == "off":  # only the command line opens the door
        del environment[TOKEN]
    environment.pop(NEW_RUNS, None)
    if new_runs:
        environment[NEW_RUNS] = "on"
    arguments = ["-m", "streamlit", "run", str(app), "--server.address", host, "--server.port", str(port)]
    os.execve(sys.executable, [sys.executable, *arguments, *FLAGS], environment)


def app_path() -> Path:
    """`dashboard/app.py` of the installed package."""
    package = importlib.util.find_spec("dashboard")
    if package is None or not package.submodule_search_locations:
        raise UserError("the dashboard is not installed", todo="pip install retrieval-lens")
    return Path(next(iter(package.submodule_search_locations))) / "app.py"


def _check_port(host: str, port: int) -> None:
    if not 0 < port < 2**16:  # the system would take 0 for "any port"
        raise UserError("no such port", got=port, allowed="1 to 65535", todo="--port 8501")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    # The last three: a NUL in the host, or no name of one.
    except (OSError, UnicodeError, ValueError, TypeError) as error:
        got = getattr(error, "strerror", None) or error
        todo = f"--port {port + 1 if port < 65535 else 8501}, or another --host"
        raise UserError(f"cannot serve on {host}:{port}", got=got, todo=todo) from error
