"""Specs of runs that a page has started and that are not finished: one file each, so that they can go on later.

They lie in `specs/` of the cache, beside the folders of the stages, and hold nothing but what the visitor chose. The
file of a run goes when the run is finished: its manifest then holds the spec.
"""

from __future__ import annotations

from pathlib import Path

from core import disk
from core.config import RunSpec, load_spec
from core.config.writing import as_toml
from core.errors import CacheReadOnly, SpecError
from core.store import Store

FOLDER = "specs"


def keep(spec: RunSpec, store: Store) -> Path:
    """Write the spec of a run, under its name; one that was there under this name is replaced.

    Raises:
        CacheReadOnly: nothing can be written into the cache.
    """
    path = _path(spec.run_name, store)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write_text(path, as_toml(spec, ("Started from the Runs page; `retrieval-lens run` goes on with it.",)))
    except OSError as error:
        if disk.is_full(error):
            raise
        todo = "set RETRIEVAL_LENS_CACHE to a folder you may write to"
        raise CacheReadOnly("nothing can be written into the cache", got=store.root, todo=todo) from error
    return path


def kept(store: Store) -> dict[str, RunSpec]:
    """Name -> spec of every run that is not finished; a file that is no spec is left out."""
    specs = {}
    for path in sorted((store.root / FOLDER).glob("[!.]*.toml")):
        try:
            spec = load_spec(path)
        except SpecError:
            continue
        specs[spec.run_name] = spec
    return specs


def forget(name: str, store: Store) -> None:
    """Delete the spec of a run; what was computed for it stays (`remove --unfinished` deletes that)."""
    _path(name, store).unlink(missing_ok=True)


def _path(name: str, store: Store) -> Path:
    return store.root / FOLDER / f"{name}.toml"
