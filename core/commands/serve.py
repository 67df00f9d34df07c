"""Start the dashboard: the real `streamlit run`, in this process's place."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from pathlib import Path

from core.errors import UserError


def serve(host: str, port: int) -> None:
    """Replace this process by Streamlit on http://host:port.

    Raises:
        UserError: the port is taken.
    """
    app = app_path()
    _check_port(host, port)
    sys.stderr.write(f"\nRetrieval Lens: http://{host}:{port}   (Ctrl-C stops it)\n\n")
    sys.stderr.flush()
    arguments = ["-m", "streamlit", "run", str(app), "--server.address", host, "--server.port", str(port)]
    os.execv(sys.executable, [sys.executable, *arguments, *FLAGS])


FLAGS = ("--server.headless", "true", "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none")
"""No e-mail prompt, no usage statistics (this works offline), no watching of source files."""


def app_path() -> Path:
    """`dashboard/app.py` of the installed package."""
    package = importlib.util.find_spec("dashboard")
    if package is None or not package.submodule_search_locations:
        raise UserError("the dashboard is not installed", todo="pip install retrieval-lens")
    return Path(next(iter(package.submodule_search_locations))) / "app.py"


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"cannot serve on {host}:{port}", got=error.strerror, todo=f"--port {port + 1}") from error
