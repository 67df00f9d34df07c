"""Kills: a command is killed (SIGKILL) at a random moment of its work, repeated, and must end as if never killed.

Moments are drawn from the CPU seconds that the command takes, so that a busy machine does not crowd them at its
beginning. Every third command is killed twice.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from core.store import WORK
from tests.torture.tiny import Tally, command, differences, kill_at, start, state, through

AGAIN = 3
"""Every so manyeth command is killed once more while it goes on."""


def kills(folder: Path, specs: dict[str, Path], references: dict[str, Path], number: int, seed: int) -> Tally:
    """`number` commands: runs of both kinds, evaluations and exports, in the ratio 4 : 4 : 1 : 1."""
    rng, tally = np.random.default_rng(seed), Tally("kills at a random moment, then the same command again")
    took: dict[str, float] = {}
    for at in range(number):
        kind = ("own", "model", "own", "model", "own", "model", "own", "model", "evaluate", "export")[at % 10]
        cache, out, said = folder / "killed", folder / "out", folder / "said.txt"
        for left in (cache, out):
            shutil.rmtree(left, ignore_errors=True)
        if kind in ("evaluate", "export"):
            shutil.copytree(references["own"], cache)
        words = {"evaluate": ("evaluate", "own", "--transform", "pca"), "export": ("export", "own", "--out", str(out))}
        work = command(*words.get(kind, ("run", str(specs.get(kind)))))
        if kind not in took:
            took[kind] = _cpu_of(folder, kind, references, work)
            shutil.rmtree(out, ignore_errors=True)
        struck = 0
        for _ in range(2 if at % AGAIN == 0 else 1):
            struck += kill_at(start(cache, work, said), float(rng.uniform(0, took[kind])))
            tally.note(f"{kind}: {_place(cache, kind, struck)}")
        ended = through(cache, work, said)
        wrong = _wrong(kind, cache, out, references, ended.code)
        tally.tried += 1
        tally.good += not wrong
        if wrong:
            tally.wrong.append(f"kill {at}, {kind}: {wrong} {ended.said[-300:]}")
    return tally


def _cpu_of(folder: Path, kind: str, references: dict[str, Path], work: object) -> float:
    """CPU seconds of the command when nobody kills it."""
    import os
    import resource

    cache = folder / "timed"
    shutil.rmtree(cache, ignore_errors=True)
    if kind in ("evaluate", "export"):
        shutil.copytree(references["own"], cache)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pid = start(cache, work, folder / "said.txt")  # type: ignore[arg-type]
    os.waitpid(pid, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _place(cache: Path, kind: str, struck: int) -> str:
    """What the killed process was at, by the work folders it left."""
    if not struck:
        return "had ended"
    at_work = sorted({path.parent.name for path in cache.glob(f"*/{WORK}*") if path.is_dir()})
    return "+".join(at_work) if at_work else "between stages"


def _wrong(kind: str, cache: Path, out: Path, references: dict[str, Path], code: int) -> str:
    if code:
        return f"ended with {code}"
    if found := differences(state(cache), state(references[kind])):
        return f"differs in {found}"
    if kind == "export":
        whole = references["out"]
        names = sorted(path.name for path in whole.iterdir())
        if sorted(path.name for path in out.iterdir()) != names:
            return "the export holds other files"
        if any((out / name).read_bytes() != (whole / name).read_bytes() for name in names):
            return "the export differs"
    return ""
