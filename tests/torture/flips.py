"""Flips: one bit of one file changes, in every kind of file. `verify` must find it, and no number may come of it.

A reader is forked that asks what pages ask. It must refuse with one error, or answer as it did before (where it does
not read the file). A process that dies counts as wrong, as does another answer.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np

from tests.torture.tiny import Tally, command, differences, state, through

REFUSED = 3
"""Exit code of a reader that met an error meant for the user."""


def flips(folder: Path, reference: Path, each: int, seed: int, every: int = 1) -> Tally:
    """`each` flips in a file of every kind (or every so manyeth) of a cache that holds both runs and their answers."""
    rng, tally = np.random.default_rng(seed), Tally("one flipped bit in a file, then verify and a reader")
    cache, said = folder / "flipped", folder / "said.txt"
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(reference, cache)
    before = through(cache, read_everything, said)
    if before.code:
        tally.wrong.append(f"the reader fails on a whole cache: {before.said}")
        return tally
    kinds = dict(list(kinds_of(cache).items())[::every])
    for kind, paths in kinds.items():
        for at in _places(rng, paths[0].stat().st_size, each):
            path = paths[int(rng.integers(len(paths)))]
            with _flipped(path, at % path.stat().st_size, int(rng.integers(8))):
                found = not _is_whole(cache)
                after = through(cache, read_everything, said)
            tally.tried += 1
            outcome = "refused" if after.code == REFUSED else "the same answer" if after == before else "wrong"
            tally.note(outcome)
            tally.good += found and outcome != "wrong"
            if not found or outcome == "wrong":
                tally.wrong.append(f"{kind} byte {at}: found {found}, reader {after.code}: {after.said[-200:]}")
    tally.what = f"one flipped bit, in {len(kinds)} kinds of file, then verify and a reader"
    return tally


def unfinished(
    folder: Path, specs: dict[str, Path], references: dict[str, Path], each: int, seed: int, every: int = 1
) -> Tally:
    """`each` flips in every file that an interrupted run leaves to go on from: it must end as if never interrupted."""
    import os
    import signal

    from tests.torture.tiny import start

    rng, tally = np.random.default_rng(seed), Tally("one flipped bit in unfinished work, then the same command again")
    cache, said, kept = folder / "cache", folder / "said.txt", folder / "half"
    for name, spec in specs.items():
        work, seen = command("run", str(spec)), set()
        shutil.rmtree(cache, ignore_errors=True)
        pid = start(cache, work, said)
        while not (list(cache.glob("*/.work--*/.windows.json")) or list(cache.glob("*/.work--*/checkpoint/step-*"))):
            if os.waitpid(pid, os.WNOHANG)[0]:
                break
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(cache, kept)
        for path in sorted(p for w in kept.glob("*/.work--*") if w.is_dir() for p in w.rglob("*") if p.is_file()):
            if path.stat().st_size == 0 or path.name in seen:
                continue
            seen.add(path.name)
            if len(seen) % every:
                continue
            for at in _places(rng, path.stat().st_size, each):
                shutil.rmtree(cache, ignore_errors=True)
                shutil.copytree(kept, cache)
                with _flipped(cache / path.relative_to(kept), at, int(rng.integers(8)), back=False):
                    ended = through(cache, work, said)
                other = differences(state(cache), state(references[name]))
                tally.tried += 1
                tally.good += not ended.code and not other
                tally.note(path.suffix.lstrip("."))
                if ended.code or other:
                    tally.wrong.append(f"{path.name} byte {at}: ended with {ended.code}, {other} {ended.said[-200:]}")
    return tally


def kinds_of(cache: Path) -> dict[str, list[Path]]:
    """Kind of file -> its files: stage and name without what differs between items of a kind."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(p for p in cache.rglob("*") if p.is_file() and p.stat().st_size):
        stage = path.relative_to(cache).parts[0]
        slug = re.sub(r"^(own|model)-|--.*", "", path.parent.name) if stage == "answer" else ""
        kinds.setdefault(f"{stage} {slug} {path.name}".replace("  ", " "), []).append(path)
    return kinds


def read_everything() -> int:
    """Print what pages show of both runs; `REFUSED` where an error says that something is broken."""
    from core.errors import UserError
    from core.questions import concepts, fidelity, retrieval
    from core.run import open_run
    from core.store import Store

    told: dict[str, object] = {}
    try:
        for name in ("own", "model"):
            run = open_run(name, Store.default())
            sae = run.need_sae()
            told[name] = {
                "recall": {v: retrieval.payload(run, v) for v in ("none", "realign", "remove-top(share=0.1)")},
                "concepts": concepts.table(run).to_dict("list"),
                "fidelity": fidelity.fidelity(run).table.to_dict("list"),
                "sae": [sae.k, sae.source, sae.trained_on, float(np.abs(sae.dictionary).sum())],
                "texts": [run.corpus.items(part).texts for part in run.parts],
                "pictures": [
                    len(run.corpus.items(part).thumbnail_bytes(0) or b"") + len(run.corpus.items(part).ids)
                    for part in run.parts
                ],
                "views": [float(np.abs(run.embeddings(part, view)).sum()) for part in run.parts for view in run.views],
                "words": [
                    float(run.words(part, place).sum()) for part in run.parts for place in run.spec.embedding.words
                ],
                "offsets": [float(np.abs(run.offset(part)).sum()) for part in run.parts],
            }
    except UserError:
        return REFUSED
    print(json.dumps(told, default=str, sort_keys=True))  # noqa: T201 - the child's output is what is compared
    return 0


def _is_whole(cache: Path) -> bool:
    from core.inventory import verify_all
    from core.store import Store

    found = verify_all(Store(cache))
    return bool(found.files["ok"].all()) and found.notes.empty


def _places(rng: np.random.Generator, size: int, number: int) -> list[int]:
    """The first and the last byte, and others."""
    return [0, size - 1, *map(int, rng.integers(0, size, max(0, number - 2)))][:number]


class _flipped:
    """One bit of a file, changed in place; what the file held is put back at the end."""

    def __init__(self, path: Path, at: int, bit: int, back: bool = True) -> None:
        self.path, self.at, self.mask, self.back = path, at, 1 << bit, back
        self.before = path.read_bytes()

    def __enter__(self) -> None:
        with open(self.path, "r+b") as stream:
            stream.seek(self.at)
            stream.write(bytes([self.before[self.at] ^ self.mask]))

    def __exit__(self, *_: object) -> None:
        if self.back:  # a reader may have written the file anew: hashes of weights that it does not believe
            self.path.write_bytes(self.before)
