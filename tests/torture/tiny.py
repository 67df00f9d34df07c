"""Two tiny runs through every stage, and processes that make them: forked, so that none waits for its imports.

`own`: own embeddings, two SAEs trained on them, checkpoints on the way. `model`: pictures with captions through a tiny
chat model with random weights, two layers, two poolings and next words, an SAE trained on token states.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 300
"""Seconds of the wall clock until a child counts as hanging."""


@dataclass
class Tally:
    """One row of the table: what was done how often, and what came of it."""

    what: str
    tried: int = 0
    good: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    """Outcome or place -> how often."""
    wrong: list[str] = field(default_factory=list)
    """What must not happen, and did."""

    def note(self, text: str) -> None:
        """Count an outcome."""
        self.notes[text] = self.notes.get(text, 0) + 1

    def counts(self) -> str:
        """ "a 3, b 1", the most frequent first."""
        return ", ".join(
            f"{name} {n}" for name, n in sorted(self.notes.items(), key=lambda entry: (-entry[1], entry[0]))
        )


@dataclass(frozen=True)
class End:
    """How a child ended: exit code, or -signal; what it printed."""

    code: int
    said: str


def prepare(folder: Path) -> dict[str, Path]:
    """Write corpora, model and spec files; name -> spec file."""
    from tests.models import zoo

    rng = np.random.default_rng(3)
    vectors = folder / "vectors"
    vectors.mkdir(parents=True)
    candidates = rng.standard_normal((30, 8)).astype(np.float32)
    parts = {"candidates": candidates, "queries": candidates[:24] + 0.5 * rng.standard_normal((24, 8), np.float32)}
    for part, rows in parts.items():
        np.save(vectors / f"{part}.npy", rows)
        lines = [f"{part[0]}{i},a thing of kind {i}" for i in range(len(rows))]
        (vectors / f"{part}.csv").write_text("\n".join(["id,text", *lines]) + "\n")
    (vectors / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\tc{i}\t1\n" for i in range(24)))
    photos = folder / "photos"
    photos.mkdir()
    _pictures(photos, rng)
    zoo.qwen2_vl(folder / "model")
    specs = {
        "own": f"""
            name = "own"
            [corpus]
            source = "embeddings"
            path = "{vectors}"
            [sae]
            width = 16
            k = 3
            widths = [24]
            steps = 12
            batch = 8
        """,
        "model": f"""
            name = "model"
            [corpus]
            source = "folder"
            path = "{photos}"
            [model]
            name = "{folder / "model"}"
            [embedding]
            layers = [-1, 1]
            poolings = ["mean", "last"]
            words = ["answer"]
            [sae]
            width = 48
            k = 4
            steps = 6
            batch = 16
        """,
    }
    for name, text in specs.items():
        (folder / f"{name}.toml").write_text("\n".join(line.strip() for line in text.splitlines()))
    return {name: folder / f"{name}.toml" for name in specs}


def _pictures(folder: Path, rng: np.random.Generator) -> None:
    from PIL import Image

    rows = []
    for i in range(18):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        rows.append(
            {"file": f"{i}.png", "captions": [f"picture number {i}, seen from the {'left' if i % 2 else 'right'}"]}
        )
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))


def small_steps() -> None:
    """Import what a run needs, and make the points from which it can go on as frequent as a long run has them."""
    import sae_lens  # noqa: F401 - imported once, before the first fork
    import torch
    import transformers  # noqa: F401

    import core.commands.cli
    import core.questions.concepts
    import core.questions.retrieval  # noqa: F401
    from core import encode
    from core.sae import train

    torch.set_num_threads(1)
    encode.WINDOW, train.SEGMENT, train.CHECKPOINT_SECONDS = 6, 3, 0


def start(cache: Path, work: Callable[[], int], output: Path) -> int:
    """Fork; the child does `work` on that cache and ends with what it returns. Its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.environ["RETRIEVAL_LENS_CACHE"] = str(cache)
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(handle, stream)
        code = work()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def command(*words: str) -> Callable[[], int]:
    """`retrieval-lens WORDS`, as its exit code."""

    def work() -> int:
        from core.commands.cli import app

        try:
            app(list(words), prog_name="retrieval-lens")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 70
        return 0

    return work


def end(pid: int, output: Path) -> End:
    """Wait for a child."""
    began = time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return End(os.waitstatus_to_exitcode(status), output.read_text(errors="replace"))
        if time.monotonic() - began > PATIENCE:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return End(-signal.SIGALRM, "it hung")
        time.sleep(0.002)


def through(cache: Path, work: Callable[[], int], output: Path) -> End:
    """Start a child and wait for it."""
    return end(start(cache, work, output), output)


def seconds(pid: int) -> float | None:
    """CPU seconds of a child so far; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) / TICK


def kill_at(pid: int, moment: float) -> bool:
    """SIGKILL when a child has used that many seconds of a CPU; False where it ended before."""
    while True:
        used = seconds(pid)
        if used is None:
            os.waitpid(pid, 0)
            return False
        if used >= moment:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return True
        time.sleep(0.0005)


def state(cache: Path) -> dict[str, str]:
    """Folder -> digest of what it holds, and every leftover by name: equal for two caches of the same content."""
    from core.fingerprint import STAGES
    from core.store import Folder, Store
    from core.verification import notes

    store = Store(cache)
    found = {}
    for stage in STAGES:
        for one in store.entries(stage):
            name = f"{stage}/{one.path.name}"
            found[name] = one.digest if isinstance(one, Folder) and not one.verify() else "broken"
    return found | {f"left: {row.where}": row.what for row in notes(store).itertuples()}


def differences(one: dict[str, str], other: dict[str, str]) -> str:
    """What two states do not share."""
    return ", ".join(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))


def pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    """One of some words."""
    return choices[int(rng.integers(len(choices)))]
