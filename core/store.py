"""The cache on disk: the only module that writes there.

`Store.build` makes a folder appear whole: data is written aside, `manifest.json` last, then one rename. A folder
without a manifest, or whose files do not have the sizes it names, does not exist for anybody. Work folders of long
stages survive an interruption, so that the next process resumes from the last whole shard; a file lock keeps a second
process out.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from core.errors import CacheCorrupt, NotAvailable
from core.fingerprint import STAGES, hash_file, stage_key

MANIFEST = "manifest.json"
RECORDED_PACKAGES = ("torch", "transformers", "sae-lens", "numpy", "scipy", "scikit-learn", "umap-learn")


def cache_root() -> Path:
    """`RETRIEVAL_LENS_CACHE`, else `cache/` of the checkout, else the user's cache directory."""
    if override := os.environ.get("RETRIEVAL_LENS_CACHE"):
        return Path(override).expanduser()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "cache").is_dir():
        return checkout / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("retrieval-lens")


def slugify(text: str) -> str:
    """Lower-case letters, digits and dashes, at most 60."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "unnamed"


@dataclass(frozen=True)
class Folder:
    """One finished folder of the cache."""

    path: Path
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        return self.manifest["key"]

    @property
    def facts(self) -> dict[str, Any]:
        """What the stage wrote about its result (counts, figures), as plain JSON."""
        return self.manifest["facts"]

    @property
    def size(self) -> int:
        """Bytes of data."""
        return sum(entry["bytes"] for entry in self.manifest["files"].values())

    def array(self, name: str) -> np.ndarray:
        """A `.npy` of the folder as a read-only memmap (an empty one is read, since it cannot be mapped)."""
        path = self.path / f"{name}.npy"
        if not path.is_file():
            raise NotAvailable(f"{self.path.name} holds no array {name!r}", allowed=sorted(self.manifest["files"]))
        # A memmap: all sessions share its pages, and nothing is read before it is used.
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # empty: it cannot be mapped
            return np.load(path, allow_pickle=False)

    def verify(self) -> list[str]:
        """Names of files whose checksum differs from the manifest's; empty when all is well."""
        files = self.manifest["files"].items()
        return [n for n, e in files if not (self.path / n).is_file() or hash_file(self.path / n) != e["sha256"]]


@dataclass
class Draft:
    """A folder being written. `path` is the work folder; `facts` go into the manifest."""

    path: Path
    facts: dict[str, Any]

    def save(self, name: str, array: np.ndarray) -> None:
        """Write `name.npy`, whole or not at all."""
        temporary = self.path / f".{name}.tmp.npy"
        np.save(temporary, array, allow_pickle=False)
        os.replace(temporary, self.path / f"{name}.npy")


@dataclass(frozen=True)
class Store:
    """The cache below `root`."""

    root: Path

    @classmethod
    def default(cls) -> Store:
        return cls(cache_root())

    def folder_path(self, stage: str, slug: str, key: str) -> Path:
        return self.root / stage / f"{slugify(slug)}--{key}"

    def find(self, stage: str, key: str) -> Folder | None:
        """The finished folder of that stage and key, whatever its slug; None where there is none."""
        for path in sorted((self.root / stage).glob(f"[!.]*--{key}")):
            if folder := self._open(path):
                return folder
        return None

    def folders(self, stage: str) -> list[Folder]:
        """All finished folders of a stage, newest first."""
        opened = (self._open(path) for path in (self.root / stage).glob("[!.]*--*") if path.is_dir())
        return sorted((f for f in opened if f), key=lambda f: f.manifest["created"], reverse=True)

    def build(
        self,
        stage: str,
        slug: str,
        spec: Mapping[str, Any],
        parents: tuple[str, ...],
        write: Callable[[Draft], None],
        device: str = "cpu",
    ) -> Folder:
        """The folder of (stage, spec, parents): found in the cache, or written by `write(draft)`.

        `write` may find files of an interrupted attempt in `draft.path` and go on from them.
        """
        key = stage_key(stage, spec, parents)
        if folder := self.find(stage, key):
            return folder
        final = self.folder_path(stage, slug, key)
        work = final.with_name(f".work--{key}")
        work.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{work}.lock"):
            # Another process may have finished it while this one waited for the lock.
            if folder := self.find(stage, key):
                return folder
            work.mkdir(exist_ok=True)
            draft, started = Draft(work, {}), time.perf_counter()
            write(draft)
            manifest = _manifest(stage, key, spec, parents, draft, device, time.perf_counter() - started)
            (work / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False, default=_plain))
            # A folder of this name that `find` passed over is broken: files are missing or have other sizes.
            if final.exists():
                shutil.rmtree(final)
            os.replace(work, final)
        Path(f"{work}.lock").unlink(missing_ok=True)
        opened = self._open(final)
        assert opened is not None
        return opened

    def state(self, folder: Folder, facts: Mapping[str, Any]) -> Folder:
        """The folder with these facts in its manifest: only such that its key and its files do not hang on."""
        manifest = folder.manifest | {"facts": folder.facts | facts}
        temporary = folder.path / f".{MANIFEST}.tmp"
        temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False, default=_plain))
        os.replace(temporary, folder.path / MANIFEST)
        return Folder(folder.path, manifest)

    def remove(self, folder: Folder) -> int:
        """Delete a folder; returns the bytes freed. The manifest goes first, so a half-deleted folder is never
        trusted."""
        size = folder.size
        (folder.path / MANIFEST).unlink()
        shutil.rmtree(folder.path)
        return size

    def remove_unfinished(self) -> int:
        """Delete what interrupted builds left to go on from, but for those that somebody works on now; returns the
        bytes freed."""
        freed = 0
        for work in [path for stage in STAGES for path in (self.root / stage).glob(".work--*") if path.is_dir()]:
            lock = FileLock(f"{work}.lock", blocking=False)
            try:
                with lock:
                    freed += sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
                    shutil.rmtree(work)
            except Timeout:
                continue
            Path(lock.lock_file).unlink(missing_ok=True)
        return freed

    def all_folders(self) -> Iterator[Folder]:
        """Every finished folder of every stage."""
        for stage in STAGES:
            yield from self.folders(stage)

    def _open(self, path: Path) -> Folder | None:
        manifest = path / MANIFEST
        if not manifest.is_file():
            return None
        try:
            content = json.loads(manifest.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise CacheCorrupt(f"{manifest} is not JSON", got=error, todo=f"delete {path} and run again") from error
        if not isinstance(content, dict) or "files" not in content:
            raise CacheCorrupt(f"{manifest} is no manifest of this project", todo=f"delete {path} and run again")
        sizes = {name: entry["bytes"] for name, entry in content["files"].items()}
        if any(not (path / n).is_file() or (path / n).stat().st_size != size for n, size in sizes.items()):
            return None
        return Folder(path, content)


def _manifest(
    stage: str, key: str, spec: Mapping[str, Any], parents: tuple[str, ...], draft: Draft, device: str, seconds: float
) -> dict[str, Any]:
    files = {}
    for path in sorted(p for p in draft.path.rglob("*") if p.is_file() and p.name != MANIFEST):
        name = path.relative_to(draft.path).as_posix()
        files[name] = {"bytes": path.stat().st_size, "sha256": hash_file(path)} | _array_facts(path)
    return {
        "stage": f"{stage}@{STAGES[stage]}",
        "key": key,
        "parents": list(parents),
        "spec": dict(spec),
        "facts": draft.facts,
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


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not belong in a manifest")
