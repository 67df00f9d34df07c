"""What every command shares: one line and an exit code for an error, the run that a name means, common options."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from core.commands.faults import user_error
from core.commands.output import say

if TYPE_CHECKING:
    from core.run import Run

app = typer.Typer(
    name="retrieval-lens",
    help="Why multimodal LLMs retrieve badly, made visible.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]

NoToken = Annotated[bool, typer.Option("--no-token", help="Let everybody in who reaches the address.")]

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name, key, or unique prefix of a key.")]


def command(name: str | None = None, bad_input: int = 1) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose errors become one line and an exit code.

    Args:
        bad_input: exit code where the user's input is at fault; another than 1 where 1 is an answer.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @app.command(name or function.__name__)
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except KeyboardInterrupt:
                fail("interrupted; the same command goes on from what is finished", 130)
            except BrokenPipeError:
                raise typer.Exit(0) from None
            except typer.Exit:
                raise
            except Exception as error:
                if known := user_error(error):
                    fail(str(known), bad_input)
                if os.environ.get("RETRIEVAL_LENS_DEBUG"):
                    raise
                fail(
                    f"internal fault: {type(error).__name__}: {error}; next: RETRIEVAL_LENS_DEBUG=1 shows where, please"
                    " report it",
                    3,
                )

        return guarded

    return decorate


def fail(line: str, code: int) -> NoReturn:
    """Print one line on stderr and end with this exit code."""
    say(f"retrieval-lens: {line}", err=True)
    raise typer.Exit(code) from None


def named_run(name: str) -> Run:
    """The run of the default cache with that name, key or unique prefix of a key."""
    from core.run import open_run
    from core.store import Store

    return open_run(name, Store.default())
