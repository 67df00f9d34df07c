"""What is in the cache: runs, their settings, folders and sizes; verification and removal."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.run import Run, list_runs
from core.store import Folder, Store

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
    included."""
    return pd.DataFrame([_row(run) for run in list_runs(store)], columns=RUN_COLUMNS)


def _row(run: Run) -> dict[str, object]:
    folders = used_folders(run)
    sizes = {part: len(run.embeddings(part)) for part in run.parts}
    return {
        "name": run.name,
        "key": run.key,
        "model": run.model_name,
        "corpus": run.spec.corpus.source,
        "task": run.spec.corpus.task,
        "queries": sizes.get("queries", 0),
        "candidates": sizes.get("candidates", 0),
        "views": ", ".join(map(str, run.views)),
        "sae": run.sae.source if run.sae else "none",
        "created": run.folder.manifest["created"],
        "bytes": sum(f.size for f in folders),
        "seconds": sum(f.manifest["seconds"] for f in folders),
    }


def used_folders(run: Run) -> list[Folder]:
    """The run's folder and everything it was made from, directly or not, plus its cached answers with what only they
    were made from, such as captions, and the token states that its SAE learned from."""
    by_key = {folder.key: folder for folder in run.store.all_folders()}
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
    return RunCard(pd.DataFrame([*settings, *outliers(run), *sae_settings(run)]), pd.DataFrame(folders))


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
            rows.append({"setting": f"outlier tokens, {part}, layer {one['layer']}", "value": value})
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


def verify(run: Run) -> pd.DataFrame:
    """DataFrame[folder, file, ok]: each file the run uses against its recorded checksum."""
    return _verify(used_folders(run))


def verify_all(store: Store) -> pd.DataFrame:
    """The same for the whole cache."""
    return _verify(list(store.all_folders()))


def _verify(folders: list[Folder]) -> pd.DataFrame:
    rows = []
    for folder in folders:
        broken = set(folder.verify())
        rows += [
            {"folder": folder.path.name, "file": name, "ok": name not in broken} for name in folder.manifest["files"]
        ]
    return pd.DataFrame(rows, columns=["folder", "file", "ok"]).astype({"ok": bool})


def remove(run: Run) -> int:
    """Delete the run, its answers and every folder that no other run uses; returns the bytes freed."""
    others = {f.key for other in list_runs(run.store) if other.key != run.key for f in used_folders(other)}
    mine = [f for f in used_folders(run) if f.key not in others]
    return sum(run.store.remove(folder) for folder in sorted(mine, key=lambda f: f.key != run.key))
