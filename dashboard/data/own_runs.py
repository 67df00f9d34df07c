"""Runs that visitors start: one at a time, each in a process of its own, so that no page waits for it.

A visitor's folder is first looked at (`retrieval-lens new --json`), which may load the model to measure it; then the
spec, as the visitor leaves it, is computed (`core/commands/watched.py`). Both are watched through files. What may be
read is what the user of this server may read; so the form is there only where nobody but this machine's users reach the
server, or where `serve --new-runs` says so.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import streamlit as st

from core.commands import watched
from core.commands.serve import NEW_RUNS, TOKEN
from core.commands.watched import INTERRUPTED, Status
from core.config import RunSpec, parse_text
from core.config.checks import check_text
from core.errors import UserError
from core.json_text import NotJson, json_object
from core.models import KNOWN
from core.planning import unfinished
from core.store import Store
from dashboard.addresses import is_loopback

Kind = Literal["look", "run"]


@dataclass(frozen=True)
class Asked:
    """What a visitor has filled in; `sae` "" and `limit` 0: left out."""

    folder: str = ""
    model: str = ""
    sae: str = ""
    limit: int = 0


@dataclass(frozen=True)
class Desk:
    """What the server is doing for visitors, as a page shows it.

    Attributes:
        kind: of the work at hand or just ended; None where there was none.
        name: folder that is looked at, or run.
        asked: what was filled in for the look at hand, or just ended.
        plan: what a look has found, as `new --json` prints it.
        error: in four parts, or one line; None where none ended it.
        cancelled: whether a visitor ended it.
    """

    kind: Kind | None = None
    name: str = ""
    running: bool = False
    status: Status = Status()
    asked: Asked = Asked()
    plan: Mapping[str, Any] | None = None
    error: UserError | None = None
    cancelled: bool = False


@dataclass
class _Work:
    """One process, and the folder in which it is watched."""

    kind: Kind
    name: str
    process: subprocess.Popen[bytes]
    path: Path
    asked: Asked = Asked()
    cancelled: bool = False

    def clean(self) -> None:
        """Delete the folder; the work has ended."""
        shutil.rmtree(self.path, ignore_errors=True)


class OwnRuns:
    """The one work of this server. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._work: _Work | None = None

    def look(self, asked: Asked) -> None:
        """Begin to look at a folder.

        Raises:
            UserError: something else is at work, or a value can be none.
        """
        for name, value in (("folder", asked.folder), ("model", asked.model), ("SAE", asked.sae)):
            check_text(name, value)
        if not asked.folder.strip():
            raise UserError("which folder?", got="nothing", allowed="a path on the machine that serves this page")
        with self._lock:
            place = self._free()
            options = [f"--model={asked.model}"] if asked.model else []
            options += [f"--sae={asked.sae}"] if asked.sae else []
            options += [f"--limit={asked.limit}"] if asked.limit else []
            # Behind `--` a folder is no option, whatever it begins with.
            words = ["new", *options, "--json", f"--out={place / 'spec.toml'}", "--", asked.folder]
            with open(place / "out", "wb") as out, open(place / "err", "wb") as err:
                process = subprocess.Popen(
                    [sys.executable, "-m", "core", *words],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=_environment(), start_new_session=True,
                )  # fmt: skip
            self._work = _Work("look", asked.folder, process, place, asked)

    def begin(self, spec: RunSpec) -> None:
        """Begin, or go on with, a run.

        Raises:
            UserError: something else is at work, or nothing can be written into the cache.
        """
        with self._lock:
            place = self._free()
            kept = unfinished.keep(spec, Store.default())
            process = watched.start(kept, place / "status.json")
            self._work = _Work("run", spec.run_name, process, place)

    def cancel(self) -> None:
        """End the work at hand; a run can go on later."""
        with self._lock:
            if self._work is not None and self._work.process.poll() is None:
                self._work.cancelled = True
                watched.cancel(self._work.process)

    def clear(self) -> None:
        """Forget work that has ended."""
        with self._lock:
            if self._work is not None and self._work.process.poll() is not None:
                self._work.clean()
                self._work = None

    def desk(self) -> Desk:
        """What there is to show."""
        with self._lock:
            work = self._work
            if work is None:
                return Desk()
            code = work.process.poll()
            status = watched.read_status(work.path / "status.json")
            running = Desk(work.kind, work.name, code is None, status, work.asked, cancelled=work.cancelled)
            if code is None:
                return running
            if work.kind == "look":
                return _looked(running, work.path)
            return _ended(running, code)

    def _free(self) -> Path:
        """A folder for new work; what has ended is forgotten."""
        if self._work is not None:
            if self._work.process.poll() is None:
                todo = "wait for it, or cancel it"
                raise UserError("one at a time", got=f"{self._work.name} is at work", todo=todo)
            self._work.clean()
        place = Path(tempfile.mkdtemp(prefix="retrieval-lens-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        return place


def _environment() -> dict[str, str]:
    """Ours, without the token of this server."""
    return {name: value for name, value in os.environ.items() if name != TOKEN}


def _looked(desk: Desk, place: Path) -> Desk:
    """The end of a look: the plan, or the one line that says why there is none."""
    try:
        return replace(desk, plan=json_object((place / "out").read_bytes()))
    except (NotJson, OSError):
        pass
    if desk.cancelled:
        return desk
    lines = (place / "err").read_text(encoding="utf-8", errors="replace").splitlines()
    said = next((line for line in reversed(lines) if line.startswith("retrieval-lens: ")), "it ended without a word")
    return replace(desk, error=_error(said.removeprefix("retrieval-lens: ").split("; ")))


def _error(clauses: list[str]) -> UserError:
    """The error that the command line printed, taken apart again into its four parts."""
    parts = {"": "", "got ": "", "allowed: ": "", "next: ": ""}
    mark = ""
    for clause in clauses:
        begins = next((one for one in parts if one and clause.startswith(one)), None)
        mark = mark if begins is None else begins
        # A part may hold the sign that parts are joined by.
        parts[mark] += ("; " if parts[mark] else "") + (clause if begins is None else clause.removeprefix(mark))
    what, got, allowed, todo = parts.values()
    return UserError(what, got=got or None, allowed=allowed or None, todo=todo or None)


def _ended(desk: Desk, code: int) -> Desk:
    """The end of a run: finished, cancelled, or why not."""
    if desk.status.run or (desk.cancelled and code == INTERRUPTED):
        return desk
    what, got, allowed, todo = (*desk.status.error, None, None, None, None)[:4]
    error = UserError(what or f"the run ended with code {code}", got=got, allowed=allowed, todo=todo)
    return replace(desk, error=error)


@st.cache_resource(show_spinner=False)
def starter() -> OwnRuns:
    """The one of this process."""
    return OwnRuns()


def may_start_runs() -> bool:
    """Whether the form is there: only this machine reaches the server, or `serve --new-runs` says so.

    Names that the server is reached by through a proxy (`server.allowedHosts`) mean that others do.
    """
    if os.environ.get(NEW_RUNS) == "on":
        return True
    return is_loopback(st.get_option("server.address")) and not st.get_option("server.allowedHosts")


def models() -> list[str]:
    """Models that are known by name."""
    return list(KNOWN)


def begin(text: str) -> None:
    """Check a spec as a file's is checked, and begin its run.

    Raises:
        UserError: the text is no spec, or something else is at work.
    """
    starter().begin(parse_text(text, "this spec"))


def go_on(name: str) -> None:
    """Go on with a run that was cancelled. UserError: there is none of that name any more."""
    spec = unfinished.kept(Store.default()).get(name)
    if spec is None:
        raise UserError("no such unfinished run", got=name, todo="look at the folder again")
    starter().begin(spec)


def forget(name: str) -> None:
    """Leave an unfinished run for good."""
    unfinished.forget(name, Store.default())


def unfinished_runs() -> list[str]:
    """Names of runs that were started here and are not finished, but for the one at work."""
    desk = starter().desk()
    at_work = desk.name if desk.kind == "run" and desk.running else None
    return [name for name in unfinished.kept(Store.default()) if name != at_work]
