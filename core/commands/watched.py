"""One run in a process of its own, which others watch: `python -m core.commands.watched SPEC.toml STATUS.json`.

The status file is replaced whole whenever something has happened: what is being done, how far it is, what was said, and
at the end the run's name or the error in its four parts. SIGINT ends the run as Ctrl-C does, so that the same spec goes
on from there. The process ends by itself when the one that started it is gone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from core.json_text import NotJson, read_json_object

EVERY = 0.3
"""Seconds between two writings of the status while a bar moves."""
LOOK = 1.0
"""Seconds between two looks whether the starter is still there."""
SAID = 5
"""Lines that are kept of what stages say."""
INTERRUPTED = 130
"""Exit code of a run that was cancelled."""


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        doing: name of the stage at work.
        done, total: its units; total None where it is not known.
        seconds_left: of this stage, from its own rate; None where nothing can be said yet.
        said: the last lines that stages have said.
        run: name of the finished run, "" before.
        error: what, got, allowed and next of the error that ended it; () where none did.
    """

    doing: str = "starting"
    done: int = 0
    total: int | None = None
    seconds_left: float | None = None
    said: tuple[str, ...] = ()
    run: str = ""
    error: tuple[str | None, ...] = ()


def start(spec: Path, status: Path) -> subprocess.Popen[bytes]:
    """Begin. The processor's other users go first (`nice`), and so does a Ctrl-C that is meant for the starter."""
    silent = subprocess.DEVNULL
    command = [sys.executable, "-m", "core.commands.watched", str(spec), str(status)]
    return subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent, start_new_session=True)


def cancel(process: subprocess.Popen[bytes]) -> None:
    """End it as Ctrl-C does: what is finished stays, and the same spec goes on."""
    process.send_signal(signal.SIGINT)


def read_status(path: Path) -> Status:
    """The status as it is now; the first one where none was written yet."""
    try:
        found = read_json_object(path)
        return Status(**found | {name: tuple(found[name]) for name in ("said", "error")})
    except (NotJson, OSError, TypeError, LookupError):
        return Status()


class StatusProgress:
    """Progress that writes a status file."""

    def __init__(self, path: Path) -> None:
        self._path, self._written = path, 0.0
        self.status = Status()

    def show(self, status: Status) -> None:
        """Replace the file by this status."""
        self.status, self._written = status, time.monotonic()
        aside = self._path.with_suffix(".new")
        aside.write_text(json.dumps(asdict(status)), encoding="utf-8")
        os.replace(aside, self._path)

    def moved(self, status: Status) -> None:
        """Remember a status, and write it where the last writing is some time ago."""
        self.status = status
        if time.monotonic() - self._written >= EVERY:
            self.show(status)

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[_Bar]:
        """A bar named `name` over `total` units."""
        self.show(Status(name, 0, total, None, self.status.said))
        yield _Bar(self)

    def say(self, text: str) -> None:
        """One line that stays."""
        now = self.status
        self.show(Status(now.doing, now.done, now.total, now.seconds_left, (*now.said, text)[-SAID:]))


class _Bar:
    def __init__(self, progress: StatusProgress) -> None:
        self._progress, self._started = progress, time.monotonic()

    def advance(self, n: int = 1) -> None:
        now = self._progress.status
        done, used = now.done + n, time.monotonic() - self._started
        left = None if not now.total or not done else used / done * max(0, now.total - done)
        self._progress.moved(Status(now.doing, done, now.total, left, now.said))

    def note(self, text: str) -> None:
        """Nothing: a status has no room for it."""


def main(spec_file: Path, status_file: Path) -> int:
    """Compute the spec; the exit codes of the command line."""
    from core import pipeline
    from core.commands.faults import user_error
    from core.config import load_spec
    from core.planning import unfinished
    from core.store import Store

    progress = StatusProgress(status_file)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with suppress(OSError):
        os.nice(10)
    try:
        store = Store.default()
        made = pipeline.run(load_spec(spec_file), store, progress)
        unfinished.forget(made.name, store)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        known = user_error(error)
        parts = (known.what, known.got, known.allowed, known.todo) if known else (f"{type(error).__name__}: {error}",)
        said = tuple(None if part is None else str(part) for part in parts)
        progress.show(Status("failed", said=progress.status.said, error=said))
        return 1 if known else 3
    progress.show(Status("finished", said=progress.status.said, run=made.name))
    return 0


def _end_with(parent: int) -> None:
    """Interrupt this process once its parent has gone."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a starter in the background may have it ignored
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
