"""One folder of the cache: finished (`Folder`), or being written (`Draft`).

What is read is checked: its size at every reading, its checksum at the first reading by this process. What was checked
is remembered by device, inode, size and times of change, so that a second reading costs one `stat`.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from core import disk
from core.errors import CacheCorrupt, NotAvailable
from core.fingerprint import STAGES, hash_file
from core.manifest import DIGEST, MANIFEST, ORIGINS, Mark, digest_of

RECORDED_PACKAGES = ("torch", "transformers", "sae-lens", "numpy", "scipy", "scikit-learn", "umap-learn")
MEND = "`retrieval-lens verify --repair` sets it aside and names the runs to repeat"
SUMS = ".sums.json"
"""In a work folder: checksums of what was saved so far."""
_CHECKED: dict[str, tuple[Mark, str]] = {}
"""Path -> state of the file and its checksum when this process read it."""


@dataclass(frozen=True)
class Folder:
    """One finished folder of the cache."""

    path: Path
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        return self.manifest["key"]

    @property
    def stage(self) -> str:
        """Such as "encode", without its version."""
        return self.manifest["stage"].partition("@")[0]

    @property
    def facts(self) -> dict[str, Any]:
        """What the stage wrote about its result (counts, figures), as plain JSON."""
        return self.manifest["facts"]

    @property
    def digest(self) -> str:
        """Equal for two builds of the same numbers; also of a folder made before manifests held it."""
        return self.manifest.get(DIGEST) or digest_of(self.manifest)

    @property
    def origins(self) -> dict[str, str]:
        """Key -> digest of what it was made from; empty where its release did not record that."""
        return self.manifest.get(ORIGINS, {})

    @property
    def size(self) -> int:
        """Bytes of data."""
        return sum(entry["bytes"] for entry in self.manifest["files"].values())

    def file(self, name: str) -> Path:
        """A file of the folder, checked.

        Raises:
            NotAvailable: the folder holds none of that name. CacheCorrupt: it is not as it was written.
        """
        if name not in self.manifest["files"]:
            raise NotAvailable(f"{self.path.name} holds no file {name!r}", allowed=sorted(self.manifest["files"]))
        if problem := self.problem_of(name):
            raise CacheCorrupt(f"{self.stage}/{self.path.name}/{name} is broken", got=problem, todo=MEND)
        return self.path / name

    def checked(self) -> Path:
        """The folder's path, all of its files checked: for libraries that read folders."""
        for name in self.manifest["files"]:
            self.file(name)
        return self.path

    def array(self, name: str) -> np.ndarray:
        """A `.npy` of the folder as a read-only memmap (an empty one is read, since it cannot be mapped)."""
        if f"{name}.npy" not in self.manifest["files"]:
            raise NotAvailable(f"{self.path.name} holds no array {name!r}", allowed=sorted(self.manifest["files"]))
        path = self.file(f"{name}.npy")
        # A memmap: all sessions share its pages, and nothing is read before it is used.
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # empty: it cannot be mapped
            return np.load(path, allow_pickle=False)

    def problem_of(self, name: str, again: bool = False) -> str:
        """What is wrong with a file; "" when it is as it was written.

        Args:
            again: read it even if this process has checked it before.
        """
        entry, path = self.manifest["files"][name], self.path / name
        try:
            mark = Mark.of(path)
            if not path.is_file():  # a FIFO would be read for ever
                return "it is no file"
            if mark.size != entry["bytes"]:
                return f"it has {mark.size:,} bytes, {entry['bytes']:,} were written"
            known = not again and _CHECKED.get(str(path)) == (mark, entry["sha256"])
            if not known and hash_file(path) != entry["sha256"]:
                return "its checksum is not that of what was written"
        except OSError as error:  # missing, a disk that fails, a file that may not be read
            return "it is missing" if isinstance(error, FileNotFoundError) else f"it cannot be read: {error.strerror}"
        remember(path, mark, entry["sha256"])
        return ""

    def verify(self) -> list[str]:
        """Names of files that differ from the manifest's size or checksum, read now; empty when all is well."""
        return [name for name in self.manifest["files"] if self.problem_of(name, again=True)]

    def made_from(self, origins: dict[str, str]) -> bool:
        """Whether nothing speaks against its being made from folders of these digests (key -> digest)."""
        return all(self.origins.get(key, digest) == digest for key, digest in origins.items())


def origins_of(folders: Iterable[Folder]) -> dict[str, str]:
    """Key -> digest of some folders, as what is made from them records it."""
    return {folder.key: folder.digest for folder in folders}


def remember(path: Path, mark: Mark, checksum: str) -> None:
    """Note that a file had this checksum in this state. One changed just now could change again unseen."""
    if mark.settled:
        _CHECKED[str(path)] = (mark, checksum)


@dataclass
class Draft:
    """A folder being written. `path` is the work folder; `facts` go into the manifest.

    Files whose path has a hidden part (".journal.json") help an interrupted build to go on; they are no part of the
    result and are deleted at its end.
    """

    path: Path
    facts: dict[str, Any]

    def save(self, name: str, array: np.ndarray) -> None:
        """Write `name.npy`, whole or not at all."""
        path = self.path / f"{name}.npy"
        temporary = disk.aside(path)
        np.save(temporary, array, allow_pickle=False)
        sums = self._sums() | {path.name: hash_file(temporary)}
        disk.put(temporary, path)
        disk.write_text(self.path / SUMS, json.dumps(sums))

    def forget_damaged(self) -> None:
        """Begin anew where something that an interrupted build saved is not as it was saved."""
        for name, checksum in self._sums().items():
            path = self.path / name
            if not path.is_file() or hash_file(path) != checksum:
                shutil.rmtree(self.path)
                self.path.mkdir()
                return

    def _sums(self) -> dict[str, str]:
        try:
            return dict(json.loads((self.path / SUMS).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return {}

    def map(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.memmap, bool]:
        """`name.npy` to be filled over a long time, and whether an interrupted build has left it."""
        return disk.reserved_map(self.path / f"{name}.npy", shape, dtype)

    def results(self) -> list[Path]:
        """The files that are part of the result, in order."""
        inside = (p for p in self.path.rglob("*") if p.is_file() and p != self.path / MANIFEST)
        return sorted(p for p in inside if not any(x.startswith(".") for x in p.relative_to(self.path).parts))

    def content(
        self, stage: str, key: str, spec: Mapping[str, Any], parents: tuple[str, ...], device: str, seconds: float
    ) -> dict[str, Any]:
        """What the manifest says, all files being there."""
        files = {}
        for path in self.results():
            name = path.relative_to(self.path).as_posix()
            files[name] = {"bytes": path.stat().st_size, "sha256": hash_file(path)} | _array_facts(path)
        return {
            "stage": f"{stage}@{STAGES[stage]}",
            "key": key,
            "parents": list(parents),
            "spec": dict(spec),
            "facts": self.facts,
            "files": files,
            "device": device,
            "seconds": round(seconds, 3),
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "versions": {"python": platform.python_version()} | _versions(),
        }


def _array_facts(path: Path) -> dict[str, Any]:
    if path.suffix != ".npy":
        return {}
    array = np.load(path, mmap_mode="r" if path.stat().st_size > 256 else None, allow_pickle=False)
    return {"shape": list(array.shape), "dtype": str(array.dtype)}


def _versions() -> dict[str, str]:
    versions = {}
    for name in RECORDED_PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
