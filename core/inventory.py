"""What is in the cache: runs, their settings, folders and sizes; verification and removal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from core.artefact import origins_of
from core.errors import CacheCorrupt
from core.fingerprint import STAGES
from core.run import Holds, Run, broken_runs, list_runs, open_run
from core.store import MANIFEST, Broken, Folder, Store
from core.verification import NOTE_COLUMNS, Verification, check, missing, notes, set_aside, table

RUN_COLUMNS = [
    "name",
    "key",
    "model",
    "corpus",
    "task",
    "queries",
    "candidates",
    "views",
    "sae",
    "created",
    "bytes",
    "seconds",
]


@dataclass(frozen=True, eq=False)
class RunCard:
    """Settings (DataFrame[setting, value]) and folders (DataFrame[stage, folder, bytes, seconds, created]) of a run."""

    settings: pd.DataFrame
    folders: pd.DataFrame


def runs(store: Store) -> pd.DataFrame:
    """One row per run, newest first; bytes and seconds count everything the run was made from, shared folders
    included. Runs that cannot be opened, or lack something they were made from, are in `broken`."""
    return listing(store)[0]


def broken(store: Store) -> pd.DataFrame:
    """DataFrame[name, key, why, next]: the runs of the cache that are broken, and what to do."""
    return listing(store)[1]


def listing(store: Store) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`runs` and `broken`, the cache looked through once."""
    rows, bad = [], [{"name": b.name, "key": b.key, "why": b.why, "next": b.todo} for b in broken_runs(store)]
    by_key = {folder.key: folder for folder in store.all_folders()}
    for run in list_runs(store):
        if lacks := missing_folders(run, by_key):
            stage, key = lacks[0]
            bad.append({"name": run.name, "key": run.key, "why": f"{stage}/*--{key} cannot be used", "next": run.mend})
            continue
        try:
            rows.append(_row(run, by_key))
        except CacheCorrupt as error:
            bad.append({"name": run.name, "key": run.key, "why": error.what, "next": error.todo or run.mend})
    return pd.DataFrame(rows, columns=RUN_COLUMNS), pd.DataFrame(bad, columns=["name", "key", "why", "next"])


def needed(run: Run) -> list[tuple[str, str]]:
    """(stage, key) of everything the run was made from."""
    facts = run.folder.facts
    keys = [("corpus", facts["corpus"]), *(("encode", key) for key in facts["encode"].values())]
    keys += [("sae", key) for key in dict.fromkeys([*facts.get("saes", []), facts["sae"]]) if key]
    return keys + [("codes", key) for key in facts["codes"].values()]


def missing_folders(run: Run, by_key: Mapping[str, Folder]) -> list[tuple[str, str]]:
    """(stage, key) of folders the run was made from that are not whole, or not as they were."""
    return [
        (stage, key)
        for stage, key in needed(run)
        if key not in by_key or not run.folder.made_from(origins_of((by_key[key],)))
    ]


def _row(run: Run, by_key: Mapping[str, Folder]) -> dict[str, object]:
    folders = used_folders(run, by_key)
    # From the manifests: to list runs, no embedding is read.
    sizes = {part: _rows_of(run.encode_folder(part), f"{run.view}.npy") for part in run.parts}
    return {
        "name": run.name,
        "key": run.key,
        "model": run.model_name,
        "corpus": run.spec.corpus.source,
        "task": run.spec.corpus.task,
        "queries": sizes.get("queries", 0),
        "candidates": sizes.get("candidates", 0),
        "views": ", ".join(map(str, run.views)),
        "sae": run.sae_folder.facts["source"] if run.folder.facts["sae"] else "none",
        "created": run.folder.manifest["created"],
        "bytes": sum(f.size for f in folders),
        "seconds": sum(f.manifest["seconds"] for f in folders),
    }


def _rows_of(folder: Folder, array: str) -> int:
    return folder.manifest["files"][array]["shape"][0]


def used_folders(run: Run, by_key: Mapping[str, Folder] | None = None) -> list[Folder]:
    """The run's folder and everything it was made from, directly or not, plus its cached answers with what only they
    were made from, such as captions, and the token states that its SAE learned from.

    Args:
        by_key: every folder of the cache, where the caller has them.
    """
    by_key = {folder.key: folder for folder in run.store.all_folders()} if by_key is None else by_key
    used: dict[str, Folder] = {}
    waiting = [run.key, *(key for key, folder in by_key.items() if run.key in folder.manifest["parents"])]
    while waiting:
        folder = by_key.get(waiting.pop(0))
        if folder is not None and folder.key not in used:
            used[folder.key] = folder
            waiting += folder.manifest["parents"]
    # Token states are made from what the run uses, and are a parent of nothing.
    states = [
        folder
        for folder in by_key.values()
        if folder.key not in used
        and folder.manifest["stage"].startswith("states@")
        and set(folder.manifest["parents"]) <= used.keys()
    ]
    return [*used.values(), *states]


def card(run: Run) -> RunCard:
    """Every setting of the spec and every folder the run uses."""
    settings = [
        {"setting": f"{section}.{key}" if isinstance(values, dict) else section, "value": str(value)}
        for section, values in run.spec.keyed().items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    ]
    folders = [
        {
            "stage": f.manifest["stage"],
            "folder": f.path.name,
            "bytes": f.size,
            "seconds": f.manifest["seconds"],
            "created": f.manifest["created"],
        }
        for f in used_folders(run)
    ]
    settings.append({"setting": "family", "value": run.family})
    if run.was_unpacked:
        holds: tuple[Holds, ...] = ("pictures", "model")
        along = [what for what in holds if run.carried(what)]
        settings.append({"setting": "came in an archive", "value": f"with {' and '.join(along) or 'thumbnails only'}"})
    return RunCard(pd.DataFrame([*settings, *outliers(run), *made_by(run), *sae_settings(run)]), pd.DataFrame(folders))


def outliers(run: Run) -> list[dict[str, str]]:
    """Rows for `RunCard.settings`: outlier tokens per part and stored layer (`core/models/outliers.py`).

    Measured while encoding. Empty for a run whose embeddings pool no token states, as those of a dual encoder.
    """
    rows = []
    for part in run.parts:
        facts = run.encode_folder(part).facts
        for one in facts.get("outliers", []):
            line = (
                f"{one['outlier_tokens']:,} tokens of {one['outlier_items']:,} items"
                if one["outlier_tokens"]
                else "none"
            )
            value = (
                f"{line} above {facts['outlier_threshold']:g} x the median norm; largest"
                f" {one['largest_norm_ratio']:,.1f} x"
            )
            place = one.get("place", one["layer"])
            rows.append({"setting": f"outlier tokens, {part}, layer {place}", "value": value})
    return rows


def made_by(run: Run) -> list[dict[str, str]]:
    """Rows for `RunCard.settings`: who encoded each part where workers did (`core/engine`), and items that could not be
    encoded, whose rows are zeros. Empty for a run of one process."""
    rows = []
    for part in run.parts:
        facts = run.encode_folder(part).facts
        if engine := facts.get("engine"):
            shards = engine["shards"]
            windows, by = sum(map(len, shards.values())), f"{engine['name']} {engine['version']}"
            rows.append(
                {"setting": f"encoded by, {part}", "value": f"{windows:,} windows, {len(shards)} workers, {by}"}
            )
        if bad := facts.get("bad"):
            examples = "; ".join(f"{one['id']}: {one['reason']}" for one in bad[:3])
            more = "" if facts["bad_items"] <= 3 else f"; and {facts['bad_items'] - 3:,} more"
            value = f"{facts['bad_items']:,} of {facts['items']:,}, rows of zeros ({examples}{more})"
            rows.append({"setting": f"not encoded, {part}", "value": value})
    return rows


def sae_settings(run: Run) -> list[dict[str, str]]:
    """Settings[setting, value] of the run's SAE: source, architecture, input, training; and the names of the others."""
    own, *others = run.saes() or (None,)
    if own is None:
        return []
    facts = {key: value for key, value in own.folder.facts.items() if not isinstance(value, dict | list)}
    trained = {
        f"training: {key}": value
        for key, value in (own.folder.facts.get("training") or own.folder.facts.get("recipe", {})).items()
    }
    beside = {"beside it": ", ".join(other.name for other in others)} if others else {}
    return [
        {"setting": f"SAE {key.replace('_', ' ')}", "value": str(value)}
        for key, value in (facts | trained | beside).items()
    ]


def remove(run: Run) -> int:
    """Delete the run, its answers and every folder that no other run uses; returns the bytes freed."""
    # Also runs that cannot be opened: what they were made from is theirs still.
    runs_left = [Run(folder, run.store) for folder in run.store.folders("run") if folder.key != run.key]
    others = {f.key for other in runs_left for f in used_folders(other)}
    mine = [f for f in used_folders(run) if f.key not in others]
    return sum(run.store.remove(folder) for folder in sorted(mine, key=lambda f: f.key != run.key))


def remove_named(name: str, store: Store) -> int:
    """`remove` the run of that name or key; of a broken one, its own folder, all that can be known of it."""
    try:
        return remove(open_run(name, store))
    except CacheCorrupt:
        fitting = [run for run in broken_runs(store) if name in (run.name, run.key) and not run.folder.newer]
        if len(fitting) != 1:
            raise
        return store.remove(fitting[0].folder)


def verify(run: Run) -> pd.DataFrame:
    """`verify_run(run).files`: DataFrame[stage, folder, file, ok, problem]."""
    return verify_run(run).files


def verify_run(run: Run) -> Verification:
    """Each file the run uses against its recorded checksum, and the folders it needs and has not."""
    by_key = {folder.key: folder for folder in run.store.all_folders()}
    files = _with_missing(check(used_folders(run, by_key)), [run], by_key)
    return Verification(files, pd.DataFrame(columns=NOTE_COLUMNS), _hit(files, [run]))


def verify_all(store: Store) -> Verification:
    """The whole cache: what is on disk, and what its runs need."""
    entries = [found for stage in STAGES for found in store.entries(stage)]
    by_key = {found.key: found for found in entries if isinstance(found, Folder)}
    opened = list_runs(store)
    # What a later release made is whole for all we know: it is named, and left alone.
    newer = [found for found in entries if isinstance(found, Broken) and found.newer]
    files = _with_missing(check(found for found in entries if found not in newer), opened, by_key)
    later = pd.DataFrame([(f"{b.stage}/{b.path.name}", b.why) for b in newer], columns=NOTE_COLUMNS)
    unreadable = [run for run in broken_runs(store) if not run.folder.newer]
    # A run whose facts are not those of a run has a manifest that fits its sums, or is of a release without them.
    rows = [
        {"stage": "run", "folder": run.folder.path.name, "file": MANIFEST, "ok": False, "problem": run.why}
        for run in unreadable
        if run.key in by_key
    ]
    files = pd.concat([files, table(rows)], ignore_index=True) if rows else files
    return Verification(
        files,
        pd.concat([notes(store), later], ignore_index=True),
        _hit(files, opened),
        tuple(dict.fromkeys(run.name for run in unreadable)),
    )


def repair(store: Store, found: Verification) -> list[str]:
    """Set aside what `found` calls broken; returns the folders' names. Read-only: CacheReadOnly."""
    return set_aside(store, found.files)


def _hit(files: pd.DataFrame, opened: list[Run]) -> tuple[str, ...]:
    """Names of runs that were made from something broken."""
    keys = {str(name).rpartition("--")[2] for name in files[~files["ok"]]["folder"]}
    return tuple(dict.fromkeys(run.name for run in opened if keys & {key for _, key in needed(run)}))


def _with_missing(files: pd.DataFrame, opened: list[Run], by_key: Mapping[str, Folder]) -> pd.DataFrame:
    named = {str(name).rpartition("--")[2] for name in files[~files["ok"]]["folder"]}
    rows: dict[str, dict[str, object]] = {}
    for run in opened:
        for stage, key in missing_folders(run, by_key):
            if key not in named:  # a broken folder is in the table as that
                rows.setdefault(key, missing(stage, key, run.name))
    return pd.concat([files, table(rows.values())], ignore_index=True) if rows else files
