"""The command line: parse, call one function of core, present. Heavy imports stay inside the commands.

`--json` prints one JSON object on stdout and nothing else; progress and notes go to stderr.
Exit codes: 0 done, 1 the user's input is at fault, 2 usage, 3 a fault of ours, 130 interrupted (finished parts stay in
the cache).
"""

from __future__ import annotations

# Each module registers its commands; `--help` lists them in this order.
from core.commands import compute, explain, results, starting  # noqa: F401

# isort: split
from core.commands import bench, check, transport, upkeep  # noqa: F401
from core.commands.application import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of `retrieval-lens`."""
    app()


if __name__ == "__main__":
    main()
