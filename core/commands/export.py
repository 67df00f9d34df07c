"""Write a run as plain files that need nothing of this project to be read.

queries.parquet candidates.parquet qrels.parquet   items (id, modality, text), pairs (query-id, corpus-id, score)
queries.npy candidates.npy                         raw pooled embeddings, fp32
codes_queries.npz codes_candidates.npz             scipy CSR, embedding units; dictionary.npy (c, d);
                                                   concepts.parquet (all c rows)
offset_queries.npy offset_candidates.npy           (1, d) or (n, d): what codes do not carry, h = z D + offset + error
support_queries.parquet support_queries.npy ...    the same files of the support split, where there is one: statistics,
                                                   removals and labels are fitted on it
whitening.safetensors                              ReAlign with the run's beta, eps and statistics: query.mean,
                                                   query.matrix, candidate.mean, candidate.matrix; with statistics per
                                                   modality instead text.mean, text.matrix, image.mean ...,
                                                   image,text.mean ... for the rows of both sides
manifest.json                                      where everything came from
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core import disk
from core.commands.benchmark_export import DATASET, EMBEDDINGS, Layout, write_mteb, write_sentence_transformers
from core.commands.options import expression
from core.errors import UserError
from core.questions.answers import fitted
from core.questions.labels import PARTS_OF
from core.records import Part, Split
from core.run import Run
from core.store import MANIFEST

STAGED = ".export-"
"""How the name of the folder begins in which an export is written before it is whole."""
FILES = re.compile(
    r"(support_)?(queries|candidates)\.(parquet|npy)|(support_)?qrels\.parquet"
    r"|(support_)?(codes|offset)_(queries|candidates)\.np[yz]|dictionary\.npy|concepts\.parquet|whitening\.safetensors"
    rf"|{re.escape(MANIFEST)}"
)
"""Names of the files of a plain export."""
LAYOUT = "layout"
FOLDERS = {"mteb": (EMBEDDINGS, DATASET), "sentence-transformers": ("qrels",)}
OTHER_FILES = re.compile(r".+_predictions\.jsonl?|(queries|corpus)\.jsonl")
"""Names of the folders and files of the other layouts."""


def export_run(run: Run, out: Path, layout: Layout = "plain", variant: str = "none") -> list[Path]:
    """Write the export into `out` (made if missing, an earlier export replaced); returns the paths.

    Args:
        layout: `plain`, as above, or files that another library reads back (`benchmark_export.py`).
        variant: whose vectors these files hold; a plain export holds the raw ones.

    Everything is written into a folder inside `out` first: an export that fails leaves nothing, and an earlier one as
    it was. Two exports of one run are equal byte by byte.

    Raises:
        UserError: `out` is no folder, cannot be written, lies in the cache or holds other things. DiskFull.
    """
    with disk.guarded(out, "the export"), _one_line(out):
        out = out.expanduser().resolve()
        _check_place(run, out)
        disk.require(out, _size(run), "the export")
        made = [folder for folder in (out, *out.parents) if not folder.exists()]
        staged = None
        try:
            out.mkdir(parents=True, exist_ok=True)
            staged = Path(tempfile.mkdtemp(prefix=STAGED, dir=out))
            _write(run, staged, layout, variant)
            written = [path.name for path in sorted(staged.iterdir())]
            _put(staged, out, written)
        except BaseException:
            if staged is not None:
                shutil.rmtree(staged, ignore_errors=True)
            for folder in made:
                with suppress(OSError):  # somebody has put something there meanwhile
                    folder.rmdir()
            raise
    return [out / name for name in written]


def _check_place(run: Run, out: Path) -> None:
    cache = run.store.root.resolve()
    if out == cache or cache in out.parents or out in cache.parents:
        raise UserError("cannot export into the cache", got=out, allowed="a folder of its own outside the cache")
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError("cannot export", got=f"{out}, a file", allowed="a folder")
    inside, ours, layout = list(out.iterdir()), _holds_export(out), _layout_of(out)
    others = sorted(path.name for path in inside if not (ours and _is_of_export(path, layout)))
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise UserError(
            "the folder holds other things", got=f"{out} with {others[0]!r}{more}", allowed="a new or empty folder"
        )


def _holds_export(out: Path) -> bool:
    """Whether an export was written here, or was begun and killed: own embeddings have files of the same names."""
    for path in (out / MANIFEST, *out.glob(f"{STAGED}*/{MANIFEST}")):
        with suppress(OSError, ValueError):
            if {"run", "key", "whitening"} <= json.loads(path.read_text(encoding="utf-8")).keys():
                return True
    return any(out.glob(f"{STAGED}*")) and not any(path.is_file() for path in out.iterdir())


def _layout_of(out: Path) -> str:
    """Which layout an earlier export has; a manifest that does not say is of a plain one."""
    with suppress(OSError, ValueError):
        return str(json.loads((out / MANIFEST).read_text(encoding="utf-8")).get(LAYOUT, "plain"))
    return "plain"


def _is_of_export(path: Path, layout: str) -> bool:
    if path.is_symlink():
        return False
    if path.is_dir():
        return path.name.startswith(STAGED) or path.name in FOLDERS.get(layout, ())
    return bool(FILES.fullmatch(path.name)) or bool(layout in FOLDERS and OTHER_FILES.fullmatch(path.name))


@contextmanager
def _one_line(out: Path) -> Iterator[None]:
    """A folder that may not be written is the user's to mend."""
    try:
        yield
    except OSError as error:
        if error.errno not in disk.READ_ONLY | {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}:
            raise
        raise UserError("cannot export", got=f"{out}: {error.strerror}", allowed="a folder you may write to") from error


def _size(run: Run) -> int:
    """Bytes of the arrays that will be written."""
    folders = [run.encode_folder(part).manifest["files"][f"{run.view}.npy"]["bytes"] for part in run.parts]
    return sum(folders)


def _write(run: Run, out: Path, layout: Layout, variant: str) -> None:
    if layout == "plain":
        _write_plain(run, out)
    else:
        (write_mteb if layout == "mteb" else write_sentence_transformers)(run, variant, out)
    facts = _manifest(run) | ({} if layout == "plain" else {LAYOUT: layout, "variant": variant})
    (out / MANIFEST).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")


def _write_plain(run: Run, out: Path) -> None:
    for part in run.parts:
        _items(run, part).to_parquet(out / f"{part}.parquet", index=False)
        np.save(out / f"{part}.npy", np.asarray(run.embeddings(part), dtype=np.float32), allow_pickle=False)
    _qrels(run, "test").to_parquet(out / "qrels.parquet", index=False)
    if run.has_support:
        _qrels(run, "support").to_parquet(out / "support_qrels.parquet", index=False)
    if run.sae is not None:
        _sae(run, out)
    _whitening(run, out / "whitening.safetensors")


def _put(staged: Path, out: Path, written: list[str]) -> None:
    """Move a whole export to its place: an older one's manifest goes first, the new one's comes last."""
    for path in staged.rglob("*"):
        disk.sync(path)
    for left in out.glob(f"{STAGED}*"):  # of an export that was killed
        if left != staged:
            shutil.rmtree(left)
    (out / MANIFEST).unlink(missing_ok=True)
    for old in [path for path in out.iterdir() if path != staged and (path.is_dir() or path.name not in written)]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for name in sorted(written, key=lambda name: name == MANIFEST):
        os.replace(staged / name, out / name)
    staged.rmdir()
    disk.sync(out)


def _items(run: Run, part: Part) -> pd.DataFrame:
    items = run.corpus.items(part)
    return pd.DataFrame({"id": list(items.ids), "modality": list(items.modality), "text": list(items.texts)})


def _qrels(run: Run, split: Split) -> pd.DataFrame:
    qrels = run.qrels(split)
    queries, candidates = (run.corpus.items(part).ids for part in PARTS_OF[split])
    return pd.DataFrame(
        {
            "query-id": [queries[i] for i in qrels.query_rows],
            "corpus-id": [candidates[i] for i in qrels.candidate_rows],
            "score": qrels.grades,
        }
    )


def _sae(run: Run, out: Path) -> None:
    from core.questions import concepts

    np.save(out / "dictionary.npy", np.asarray(run.need_sae().dictionary, dtype=np.float32), allow_pickle=False)
    for part in run.parts:
        prefix = "support_" if part.startswith("support_") else ""
        side = part.removeprefix("support_")
        _save_npz(out / f"{prefix}codes_{side}.npz", sp.csr_matrix(run.codes(part)))
        offset = np.asarray(run.offset(part), dtype=np.float32)
        np.save(out / f"{prefix}offset_{side}.npy", offset, allow_pickle=False)
    concepts.table(run).to_parquet(out / "concepts.parquet", index=False)


def _whitening(run: Run, path: Path) -> None:
    from safetensors.numpy import save_file

    variant = fitted(run, expression(run.spec.whitening, "realign"))
    tensors = {}
    # Statistics per modality know no sides: both are transformed alike, each row by the map of its modality.
    by_modality = dict(variant.query.by_modality)
    for name, side in (by_modality or {"query": variant.query, "candidate": variant.candidate}).items():
        tensors[f"{name}.mean"] = np.ascontiguousarray(side.mean, dtype=np.float32)
        tensors[f"{name}.matrix"] = np.ascontiguousarray(side.matrix, dtype=np.float32)
    metadata = {"variant": str(variant.spec), "run": run.name, "model": run.model_name}
    metadata |= {"by": "modality", "notes": "\n".join(variant.notes)} if by_modality else {}
    save_file(tensors, path, metadata=metadata)
    _order_header(path)


def _save_npz(path: Path, codes: sp.csr_matrix) -> None:
    """What `scipy.sparse.save_npz` writes, but for the time of writing in every entry of the archive."""
    arrays = {
        "indices": codes.indices,
        "indptr": codes.indptr,
        "format": np.asarray(codes.format.encode("ascii")),
        "shape": np.asarray(codes.shape),
        "data": codes.data,
    }
    write_npz(path, arrays)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """What `numpy.savez_compressed` writes, with one date in every entry: two files of the same arrays are equal."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, the earliest there is
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def _order_header(path: Path) -> None:
    """Sort the header of a safetensors file: the library writes its metadata in an order that changes."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    # Tensors stand in the order of their data; blanks fill the header up to its old length, as the format allows.
    ordered = {"__metadata__": dict(sorted(header.pop("__metadata__").items()))}
    ordered |= dict(sorted(header.items(), key=lambda entry: entry[1]["data_offsets"]))
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def _manifest(run: Run) -> dict[str, object]:
    facts = run.folder.manifest
    return {
        "run": run.name,
        "key": run.key,
        "view": str(run.view),
        "whitening": expression(run.spec.whitening, "realign"),
        **{name: facts[name] for name in ("spec", "parents", "versions", "created")},
    }
