"""`python -m tests.torture`: kills, flips, disks and visitors; prints each part as it ends, then the table.

`--short` is the form that the test suite runs. `--only kills` runs one part. Exit 1 where something went wrong.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: a forked child must not wait for its parent's threads
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tests.torture import disks, flips, kills, tiny  # noqa: E402 - after the environment
from tests.torture.tiny import Tally  # noqa: E402

PARTS = ("kills", "flips", "unfinished", "disks", "visitors")
LONG = {"kills": 200, "flips": 8, "unfinished": 2, "disks": 40}
"""Kills and disk sizes in all; flips per kind of file."""
SHORT = {"kills": 5, "flips": 1, "unfinished": 1, "disks": 2}
FEWER = {"flips": 4, "unfinished": 5}
"""In the short form every so manyeth kind of file is taken."""
SEED = 10


def main() -> None:
    """Run the parts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few of each, no visitors")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; repeat it for several")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    number, wanted = (SHORT if given.short else LONG), given.only or PARTS
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        parts = [part for part in wanted if part != "visitors"]
        tallies = torture(Path(folder), number, parts, given.seed, FEWER if given.short else {})
    say(table(tallies))
    failed = any(tally.good < tally.tried or tally.wrong for tally in tallies)
    if "visitors" in wanted and not given.short:
        failed |= visitors() != 0
    sys.exit(1 if failed else 0)


def torture(folder: Path, number: dict[str, int], parts: list[str], seed: int, every: dict[str, int]) -> list[Tally]:
    """The parts that need nothing but this machine's disk."""
    import pytest

    from core import pipeline
    from core.config import load_spec
    from core.store import Store

    tiny.small_steps()
    specs, references = tiny.prepare(folder / "inputs"), reference(folder)
    # In this process, before the first fork: what is imported on the way is there in every child.
    for name, spec in specs.items():
        pipeline.run(load_spec(spec), Store(references[name]))
        shutil.copytree(references[name], references["both"], dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
        patch.setenv("RETRIEVAL_LENS_CACHE", str(references["both"]))
        assert flips.read_everything() == 0
    for words, cache in (
        (("evaluate", "own", "--transform", "pca"), "evaluate"),
        (("export", "own", "--out", str(references["out"])), "export"),
    ):
        shutil.copytree(references["own"], references[cache])
        _must(tiny.through(references[cache], tiny.command(*words), folder / "said.txt"))
    tallies = []
    for part in parts:
        place = folder / part
        place.mkdir()
        began = time.monotonic()
        if part == "kills":
            tally = kills.kills(place, specs, references, number[part], seed)
        elif part == "flips":
            tally = flips.flips(place, references["both"], number[part], seed, every.get(part, 1))
        elif part == "unfinished":
            tally = flips.unfinished(place, specs, references, number[part], seed, every.get(part, 1))
        else:
            tally = disks.disks(place, specs, references, number[part])
        say(f"{part}: {tally.good} of {tally.tried} in {time.monotonic() - began:.0f} s ({tally.counts()})")
        for line in tally.wrong:
            say(f"wrong: {line}")
        tallies.append(tally)
    return tallies


def reference(folder: Path) -> dict[str, Path]:
    """Where the caches of uninterrupted runs and commands are, and an export."""
    return {name: folder / "reference" / name for name in ("own", "model", "both", "evaluate", "export", "out")}


def _must(ended: tiny.End) -> None:
    if ended.code:
        raise SystemExit(f"the reference run ended with {ended.code}: {ended.said}")


def visitors() -> int:
    """The visitors of the dashboard, where that part is there: on the runs of the default cache."""
    if importlib.util.find_spec("tests.torture.visitors") is None:
        say("visitors: not in this checkout")
        return 0
    return subprocess.run([sys.executable, "-m", "tests.torture.visitors"], check=False).returncode


def table(tallies: list[Tally]) -> str:
    """The rows of docs/reliability.md."""
    lines = ["| what was done | as it should be | in detail |", "| --- | --- | --- |"]
    lines += [f"| {one.what} | {one.good} of {one.tried} | {one.counts()} |" for one in tallies]
    return "\n".join(lines)


def say(line: str) -> None:
    """Print at once: a long part is followed by the next."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
