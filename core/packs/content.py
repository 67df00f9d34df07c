"""What goes into an archive: folders of the cache as they are, and folders made for the archive alone.

Three of stage "carried" are made: "origin" says that the run came in an archive, "pictures" holds the encoded files of
the items' pictures, "model" the files of the model. They are never written into the cache that is packed: their files
are read where they are, twice, once for the index and once for the archive.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from core.artefact import Folder, origins_of
from core.config import OWN_MODEL
from core.corpus.carried import picture_names
from core.corpus.tables import ItemTable
from core.errors import NotAvailable, UserError
from core.fingerprint import KEY_LENGTH, STAGES, stage_key
from core.inventory import needed, used_folders
from core.manifest import MANIFEST, ORIGINS, as_text, sealed
from core.packs.archive import CHUNK, Entry, fits
from core.run import Holds, Run, carried_spec

Chunks = Callable[[], Iterable[bytes]]
"""Gives the content of a file, from its beginning each time."""
MODEL_SUFFIXES = {".json", ".safetensors", ".jinja", ".txt", ".model"}
"""Of the files of a model that are taken along: weights, configs, tokenizers and templates; no code, no pickles."""
EXTRAS = ("answer", "captions", "encode", "variant", "carried")
"""Stages of what may be packed beside what the run was made from."""


@dataclass(frozen=True)
class Source:
    """One file of an archive and where its bytes come from."""

    entry: Entry
    chunks: Chunks


def folders_of(run: Run) -> list[Folder]:
    """The folders of a run that an archive holds: what it was made from, then its answers and what only they were made
    from.

    Token states stay: they are for training alone. An answer that rests on another run stays too.
    """
    used = {folder.key: folder for folder in used_folders(run)}
    core = {run.key, *(key for _, key in needed(run))}
    extras = {
        key: folder
        for key, folder in used.items()
        if key not in core and folder.stage in EXTRAS and folder.manifest["stage"].endswith(f"@{STAGES[folder.stage]}")
    }
    # An answer goes only with everything it was made from.
    while lost := [key for key, f in extras.items() if not set(f.manifest["parents"]) <= core | extras.keys()]:
        for key in lost:
            del extras[key]
    # What no answer that is left was made from, as the captions of another run's answer, stays as well.
    parents = {parent for folder in extras.values() for parent in folder.manifest["parents"]}
    kept = {k: f for k, f in extras.items() if run.key in f.manifest["parents"] or k in parents}
    folders = [folder for key, folder in used.items() if key in core or key in kept]
    return sorted(folders, key=lambda folder: (folder.stage, folder.key))


def of_folder(folder: Folder) -> Iterator[Source]:
    """The files of a folder of the cache, by their checksums in its manifest."""
    text = (folder.path / MANIFEST).read_bytes()
    yield _source(folder.stage, folder.key, MANIFEST, lambda: [text])
    for name, entry in sorted(folder.manifest["files"].items()):
        path = folder.path / name
        listed = Entry(f"{folder.stage}/{folder.key}/{name}", entry["bytes"], entry["sha256"])
        yield Source(listed, partial(_read, path))


def origin(run: Run) -> list[Source]:
    """The folder that marks a run as one from an archive."""
    return _carried(run, "origin", {})


def pictures(run: Run) -> list[Source]:
    """The encoded pictures of all parts; empty where all are drawn on demand or there are none.

    Raises:
        CorpusError: a picture is gone or has changed.
    """
    files: dict[str, Chunks] = {}
    for part in run.parts:
        items = run.corpus.items(part)
        sizes = [len(items.encoded(row) or b"") for row in range(len(items))]
        if not any(sizes):
            continue
        blob, offsets = picture_names(part)
        files[f"{blob}.npy"] = _blob(items, sum(sizes))
        files[f"{offsets}.npy"] = partial(_npy, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    return _carried(run, "pictures", files) if files else []


def model(run: Run) -> list[Source]:
    """The files of the run's model; empty for one that is shipped with this program.

    Raises:
        NotAvailable: own embeddings, or the model that is here is another one. ModelError: it is not here.
    """
    from core.models.facts import facts_of, located
    from core.models.repository import check_weights
    from core.models.table import find

    if run.model_name == OWN_MODEL:
        raise NotAvailable(f"run {run.name!r} holds own embeddings, without a model", todo="pack it without --model")
    row = find(run.spec.model.name)
    if row is not None and row.folder is not None:
        return []
    if carried := run.carried("model"):
        place = carried.checked() / "model"
    else:
        compute = run.encode_folder(run.parts[0]).facts.get("compute", "auto")
        spec = replace(run.spec.model, dtype=compute)
        location, config = located(spec)
        if facts_of(spec, location, config).key != run.folder.facts["model_key"]:
            todo = "put back the one that the run was made with, or pack it without --model"
            raise NotAvailable("the model of that name here is another one", got=spec.name, todo=todo)
        check_weights(location.source, location.revision, location.path)
        place = location.path
    names = sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file() and is_of_model(p))
    names = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    if odd := [name for name in names if not fits(f"carried/{'0' * KEY_LENGTH}/model/{name}")]:
        raise UserError("a file of the model cannot be packed", got=odd[0], todo="rename it, or pack without --model")
    # A hub's snapshot holds links into the hub's cache: their targets are read.
    return _carried(run, "model", {f"model/{name}": partial(_read, place / name) for name in names})


def is_of_model(path: Path) -> bool:
    """Whether a file of a model's folder is taken along."""
    return path.suffix in MODEL_SUFFIXES


def _carried(run: Run, holds: Holds, files: Mapping[str, Chunks]) -> list[Source]:
    """A folder made for the archive, with a manifest that hangs on nothing but the run and these files."""
    spec = carried_spec(holds)
    key = stage_key("carried", spec, (run.key,))
    sources = [_source("carried", key, name, chunks) for name, chunks in sorted(files.items())]
    content: dict[str, Any] = {
        "stage": f"carried@{STAGES['carried']}",
        "key": key,
        "parents": [run.key],
        "spec": spec,
        "facts": {},
        "files": {s.entry.file: {"bytes": s.entry.bytes, "sha256": s.entry.sha256} for s in sources},
        "device": "cpu",
        "seconds": 0.0,
        # Of the run: two archives of one run are equal, whenever they were made.
        "created": run.folder.manifest["created"],
        "versions": run.folder.manifest["versions"],
        ORIGINS: origins_of((run.folder,)),
    }
    text = as_text(sealed(content)).encode()
    return [_source("carried", key, MANIFEST, lambda: [text]), *sources]


def _source(stage: str, key: str, name: str, chunks: Chunks) -> Source:
    """A file whose size and checksum are found by reading it."""
    size, checksum = 0, sha256()
    for chunk in chunks():
        size += len(chunk)
        checksum.update(chunk)
    return Source(Entry(f"{stage}/{key}/{name}", size, checksum.hexdigest()), chunks)


def _read(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _blob(items: ItemTable, size: int) -> Chunks:
    """All encoded pictures of a part as a `.npy` of bytes, never in memory as a whole."""

    def chunks() -> Iterator[bytes]:
        head = io.BytesIO()
        facts = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
        np.lib.format.write_array_header_1_0(head, facts)
        yield head.getvalue()
        for row in range(len(items)):
            if data := items.encoded(row):
                yield data

    return chunks


def _npy(array: np.ndarray) -> list[bytes]:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return [stream.getvalue()]
