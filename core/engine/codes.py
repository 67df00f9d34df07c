"""Codes by workers: blocks of embeddings go out, sparse rows come back, in order, to the one writer of `core.sae`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.engine.blocks import by_actors, sent
from core.engine.cluster import Session, quieten
from core.sae import codes as local
from core.sae.codes import Coded, SaeEncoder

SAE_FILES = {".json", ".safetensors"}
"""Suffixes of what an SAE is loaded from."""


RETRIES = 3
"""Times that a block is repeated whose worker has died."""


@dataclass
class Coders:
    """Makes encoders whose blocks are computed by workers; those of one SAE share the workers."""

    session: Session
    _made: dict[Path, WorkersEncoder] = field(default_factory=dict)

    def __call__(self, folder: Path, input_: str) -> WorkersEncoder:
        """The encoder of an SAE's folder."""
        if folder not in self._made:
            self._made[folder] = WorkersEncoder(self.session, folder, input_)
        return self._made[folder]


class WorkersEncoder(SaeEncoder):
    """An SAE in this process and in the session's workers. Few rows are computed here: an SAE takes long to load."""

    def __init__(self, session: Session, folder: Path, input_: str) -> None:
        super().__init__(folder, input_)
        self._session, self._folder = session, folder
        self._workers: list[Any] = []

    def blocks(self, rows: np.ndarray) -> Iterator[Coded]:
        """Codes and offsets of consecutive blocks of rows: those of `SaeEncoder`, from the same rows each."""
        step = max(1, local.BLOCK_VALUES // self.sae.cfg.d_sae)
        if len(rows) <= step * self._session.workers:
            yield from super().blocks(rows)
            return
        pieces = ((np.array(rows[at : at + step], np.float32),) for at in range(0, len(rows), step))
        yield from by_actors(self._ready(), "code", pieces)

    def _ready(self) -> list[Any]:
        if not self._workers:
            import ray

            files = {path.name: path.read_bytes() for path in self._folder.iterdir() if path.suffix in SAE_FILES}
            there = sent(files)
            places = {"num_cpus": 1, "num_gpus": self._session.gpus}
            coder = ray.remote(Coder).options(**places, max_restarts=-1, max_task_retries=RETRIES)
            self._workers = [coder.remote(there, self.input) for _ in range(self._session.workers)]
        return self._workers


class Coder:
    """A worker with an SAE."""

    def __init__(self, files: dict[str, bytes], input_: str) -> None:
        quieten()
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            self._encoder = SaeEncoder(Path(folder), input_)

    def code(self, rows: np.ndarray) -> Coded:
        """The codes of a block."""
        return next(iter(self._encoder.blocks(rows)))
