"""Progress of long stages: one protocol, a silent and a rich implementation. Everything goes to stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from core.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Task(Protocol):
    """One bar."""

    def advance(self, n: int = 1) -> None:
        """Move on by `n` units."""

    def note(self, text: str) -> None:
        """Show a short text behind the bar (a loss, a warning)."""


class Progress(Protocol):
    """Where long stages report."""

    def task(self, name: str, total: int | None = None) -> AbstractContextManager[Task]:
        """A bar named `name` over `total` units; None where the total is not known."""

    def say(self, text: str) -> None:
        """One line that stays."""


class _Silent:
    def advance(self, n: int = 1) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class NoProgress:
    """Reports nowhere."""

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        """A bar nobody sees."""
        yield _Silent()

    def say(self, text: str) -> None:
        """Nothing."""


class RichProgress:
    """Bars on stderr by rich; plain lines where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        """A bar with count, time used and time left. Names and notes may come from outside: they are no markup."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description:<34}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.console) as bars:
            yield _RichTask(bars, bars.add_task(printable(name), total=total, note=""))

    def say(self, text: str) -> None:
        """A line above the bars."""
        self.console.print(printable(text), highlight=False, markup=False)


class _RichTask:
    def __init__(self, bars: Bars, task_id: TaskID) -> None:
        self._bars, self._id = bars, task_id

    def advance(self, n: int = 1) -> None:
        self._bars.advance(self._id, n)

    def note(self, text: str) -> None:
        self._bars.update(self._id, note=printable(text))
