"""Is the cache as it was written? Every folder on disk, every file in it, and what lies about beside them.

`check` reads every file again, whatever this process has checked before. It names what is broken (exit code 1 of
`verify`) and, apart from that, what is merely there: work folders, locks, foreign files. `set_aside` renames broken
folders, so that they stand in nobody's way and can still be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from core.artefact import Folder
from core.fingerprint import KEY_LENGTH, STAGES, read_memo
from core.store import BROKEN, MANIFEST, UNPACKING, WORK, Broken, Store

FILE_COLUMNS = ["stage", "folder", "file", "ok", "problem"]
NOTE_COLUMNS = ["where", "what"]
WEIGHTS = "weights.json"
_NAME = re.compile(rf"[a-z0-9-]+--[0-9a-f]{{{KEY_LENGTH}}}")
_UNPACKED = "left by an interrupted unpack, or unpacked now; `remove --unfinished` deletes what nobody works in"
_PLAIN_FILES = {WEIGHTS, "specs", ".gitignore", ".gitkeep", "README.md", "CACHEDIR.TAG"}
"""What a cache may hold beside the folders of its stages."""


@dataclass(frozen=True, eq=False)
class Verification:
    """What `verify` found.

    Attributes:
        files: DataFrame[stage, folder, file, ok, problem]; `file` is "" where a whole folder is broken or missing.
        notes: DataFrame[where, what]: what is no damage and no part of a run.
        runs: names of runs that use something broken.
        lost: names of runs whose own folder is broken: only their spec files can make them again.
    """

    files: pd.DataFrame
    notes: pd.DataFrame
    runs: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def broken(self) -> pd.DataFrame:
        """The rows of `files` that are not as they were written."""
        return self.files[~self.files["ok"]]

    @property
    def repeat(self) -> str:
        """The commands that make the broken runs again; "" where nothing but answers is broken."""
        commands = [f"`retrieval-lens run {name}`" for name in self.runs]
        commands += [f"`retrieval-lens run` with the spec file of {name}" for name in self.lost]
        return ", ".join(commands)


def check(found: Iterable[Folder | Broken]) -> pd.DataFrame:
    """DataFrame[stage, folder, file, ok, problem]: a row per file of a folder, or one for a folder that is broken."""
    rows: list[dict[str, object]] = []
    for one in found:
        place = {"stage": one.stage, "folder": plain(one.path.name)}
        if isinstance(one, Broken):
            rows.append(place | {"file": "", "ok": False, "problem": one.why})
            continue
        files = {name: one.problem_of(name, again=True) for name in one.manifest["files"]}
        files[MANIFEST] = ""  # it was read against its sums when the folder was opened
        rows += [place | {"file": name, "ok": not problem, "problem": problem} for name, problem in files.items()]
    return table(rows)


def missing(stage: str, key: str, run: str) -> dict[str, object]:
    """The row of a folder that a run needs and the cache does not hold as the run knew it."""
    why = f"run {plain(run)!r} needs it, and it is missing, broken or was made again with other numbers"
    return {"stage": stage, "folder": f"*--{key}", "file": "", "ok": False, "problem": why}


def table(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Rows as `check` gives them."""
    return pd.DataFrame(list(rows), columns=FILE_COLUMNS).astype({"ok": bool})


def notes(store: Store) -> pd.DataFrame:
    """DataFrame[where, what]: work of interrupted builds, locks, folders set aside, and files of nobody's."""
    rows: list[tuple[str, str]] = []
    if store.root.is_dir():
        for path in sorted(store.root.iterdir()):
            if path.name in STAGES and path.is_dir():
                rows += [(f"{path.name}/{name}", what) for name, what in _in_stage(path)]
            elif path.name.startswith(UNPACKING):
                if not path.name.endswith(".lock") or not path.with_name(path.name.removesuffix(".lock")).exists():
                    rows.append((plain(path.name), _UNPACKED))
            elif path.name not in _PLAIN_FILES and not path.name.startswith(f".{WEIGHTS}."):
                rows.append((plain(path.name), "not of this project"))
        if (store.root / WEIGHTS).exists() and not read_memo(store.root / WEIGHTS):
            rows.append((WEIGHTS, "damaged or of an earlier release: it is not used, and written again"))
    return pd.DataFrame(rows, columns=NOTE_COLUMNS)


def _in_stage(stage: Path) -> list[tuple[str, str]]:
    rows = []
    for path in sorted(stage.iterdir()):
        name = path.name
        if name.startswith(WORK) and name.endswith(".lock"):
            if not path.with_name(name.removesuffix(".lock")).exists():
                rows.append((plain(name), "the lock of a build that ended; `remove --unfinished` deletes it"))
        elif name.startswith(WORK):
            rows.append((plain(name), _state_of(path)))
        elif name.startswith(BROKEN):
            rows.append((plain(name), "set aside by `verify --repair`; `remove --unfinished` deletes it"))
        elif not path.is_dir() or not _NAME.fullmatch(name):
            rows.append((plain(name), "not of this project"))
        else:
            rows += [(plain(f"{name}/{extra}"), "not in its manifest") for extra in _extras(path, stage.name)]
    return rows


def _state_of(work: Path) -> str:
    """Whether somebody works in a work folder now."""
    left = "left by an interrupted build; the same command goes on from it, `remove --unfinished` deletes it"
    if not Path(f"{work}.lock").exists():
        return left
    try:
        with FileLock(f"{work}.lock", blocking=False):
            return left
    except Timeout:
        return "being written now"
    except OSError:  # a read-only cache: nobody writes here
        return left


def _extras(folder: Path, stage: str) -> list[str]:
    """Files in a finished folder that its manifest does not list."""
    from core.manifest import Unusable, read

    try:
        known = {MANIFEST, *read(folder, stage)["files"]}
    except Unusable:
        return []  # the whole folder is named as broken
    return [
        name for path in sorted(folder.rglob("*")) if path.is_file() and (name := _inside(path, folder)) not in known
    ]


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def set_aside(store: Store, files: pd.DataFrame) -> list[str]:
    """Rename the broken folders among these rows; returns their old names. One that is being built again now stays."""
    done = []
    for stage, name in files[~files["ok"]].groupby(["stage", "folder"]).groups:
        path = store.root / str(stage) / str(name)
        key = str(name).rpartition("--")[2]
        if not path.is_dir():
            continue
        lock = FileLock(f"{path.with_name(f'{WORK}{key}')}.lock", blocking=False)
        try:
            with lock:
                store.set_aside(Broken(str(stage), path, ""))
                Path(lock.lock_file).unlink(missing_ok=True)
        except Timeout:
            continue
        done.append(f"{stage}/{name}")
    return done


def plain(text: str) -> str:
    """A name fit for a terminal: bytes that are no text, and control characters, spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
