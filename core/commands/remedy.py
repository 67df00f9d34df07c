"""A recommended remedy as two files: arrays, and a script of numpy alone that treats one new query as the tool does.

FILE      .npz of float64: SIDE.removed, SIDE.mean, SIDE.matrix as far as the remedy has them (`portable.py`);
          drift.mean, drift.variance, drift.n, drift.limit of the queries it was fitted on; variant, its text
FILE.py   the same name with the suffix .py: the source of `portable.treat` and `portable.drift`
"""

from __future__ import annotations

import inspect
import zipfile
from pathlib import Path

import numpy as np

from core import disk
from core.analysis.variants.portable import arrays_of, drift, treat
from core.commands.export import write_npz
from core.errors import UserError
from core.paths import kind
from core.questions.choosing import drift_of, rows_of
from core.questions.recommend import RAW, Recommendation, remedy_of
from core.run import Run

OPENING = '"""A remedy of Retrieval Lens'


def write_remedy(run: Run, found: Recommendation, out: Path) -> list[Path]:
    """Write both files, earlier ones replaced; returns their paths. Two of one recommendation are equal.

    Raises:
        UserError: something else is there, or the place cannot be written. DiskFull.
    """
    out = out.expanduser().absolute()
    script = out.with_suffix(".py")
    if script == out:
        raise UserError("the script lies beside the arrays", got=out.name, allowed="a name that does not end in .py")
    _check_place(out, script)
    arrays = _arrays(run, found)
    with disk.guarded(out, "the remedy"):
        disk.require(out, sum(array.nbytes for array in arrays.values()), "the remedy")
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = disk.aside(out)
        try:
            write_npz(temporary, arrays)
            disk.put(temporary, out)
        finally:
            temporary.unlink(missing_ok=True)
        disk.write_text(script, _script(run, found, out.name))
    return [out, script]


def lines_of() -> str:
    """The lines of numpy that treat rows, with `w` as FILE holds them."""
    return inspect.getsource(treat)


def _arrays(run: Run, found: Recommendation) -> dict[str, np.ndarray]:
    fitted, rows = remedy_of(run, found), rows_of(run, found.labels == "support")
    record = drift_of(rows.choose.queries, rows.clusters if found.labels == "support" else None)
    measured = {"mean": record.mean, "variance": record.variance, "n": record.n, "limit": record.limit}
    variant = np.array(found.variant if found.use else RAW)
    return (
        arrays_of(fitted)
        | {f"drift.{k}": np.asarray(v, np.float64) for k, v in measured.items()}
        | {"variant": variant}
    )


def _script(run: Run, found: Recommendation, arrays: str) -> str:
    """The file beside the arrays."""
    variant = found.variant if found.use else RAW
    about = f"{OPENING} for run {run.name} ({run.model_name}): {found.advice}.\n\nVariant {variant}, {run.view.words}."
    usage = 'y = treat(x, "query")      # raw embeddings, as the model gives them; "candidate" for the other side\n'
    usage += "drift(latest_queries)      # about 1; above w['drift.limit'] fit again"
    body = "\n\n".join(
        inspect.getsource(lines).replace(", w: Mapping[str, np.ndarray]", ", w=w") for lines in (treat, drift)
    )
    load = f"with np.load(Path(__file__).with_name({arrays!r}), allow_pickle=False) as file:\n    w = dict(file)\n"
    imports = "from pathlib import Path\n\nimport numpy as np\n"
    return f'{about}\n\n{usage}\n"""\n\n{imports}\n{load}\n\n{body}'


def _check_place(out: Path, script: Path) -> None:
    """Refuse to write over what is no remedy."""
    for path in (out, script):
        what = kind(path)
        if what == "nothing" and not path.is_symlink():
            continue
        if what != "file" or not (_is_arrays(path) if path == out else _is_script(path)):
            raise UserError("cannot write the remedy over what is none", got=path, allowed="a new name")


def _is_arrays(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"variant.npy", "drift.mean.npy"} <= set(archive.namelist())


def _is_script(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(OPENING)) == OPENING.encode()
