"""A check: the vectors of a sample against the run's own model, and what explains the difference.

    given = read_vectors(run, Path("vectors"))            # or ask_endpoint(run, url, "vllm", None, 50, NoProgress())
    answer = check(run, given)                            # Checked: equal, or explained by which settings

Answers are kept with the run, the last `KEPT` of them, for the dashboard.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from core.artefact import origins_of
from core.errors import SpecError
from core.fingerprint import canonical, hash_array, hash_bytes
from core.progress import NoProgress, Progress
from core.questions.answers import answer
from core.questions.check.agreement import Tolerance, all_equal, default_tolerance
from core.questions.check.conditions import Change
from core.questions.check.cost import moved_concepts, recall_cost
from core.questions.check.encoding import SampleEncoder
from core.questions.check.given import Given, Sample, check_given, check_rows, choose_rows, sample_of
from core.questions.check.result import Checked, Tried, explained
from core.questions.check.search import Search
from core.questions.check.trial import Found
from core.records import Part
from core.run import Run
from core.store import Draft, Folder
from core.waiting import about_to_compute

SAMPLE = 50
"""Items that are compared where nobody says how many."""
KEPT = 20
QUESTION = "check"
_FILE = "check.json"


def check(
    run: Run,
    given: Given,
    number: int = SAMPLE,
    tolerance: float | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Compare given vectors with the run's own model on a sample, and keep the answer with the run.

    Args:
        number: items of the sample, at least 2.
        tolerance: largest relative difference of a row that counts as equal; None: from the types, see
            `agreement.default_tolerance`.

    Raises:
        ShapeMismatch: vectors of a wrong width. CorpusError: too few rows, or rows with NaN or nothing but zeros.
        SpecError: a sample or a tolerance that cannot be.
    """
    if number < 2:
        raise SpecError("the sample is too small", got=number, allowed="2 items or more")
    if tolerance is not None and not 0 <= tolerance < 2:
        raise SpecError("this is no tolerance", got=tolerance, allowed="0 to below 2, a relative difference")
    check_given(run, given)
    about_to_compute()
    sample = sample_of(given, choose_rows(run, {part: one.rows for part, one in given.parts.items()}, number))
    given = replace(given, strings={**_strings(run, sample), **given.strings})
    encoder = _encoder(run, sample, given, progress or NoProgress())
    vectors = _vectors(given, sample)
    check_rows(vectors, encoder.ids)
    allowed = default_tolerance(encoder.compute, given.stored)
    allowed = allowed if tolerance is None else Tolerance(tolerance, "as told")
    search = Search(encoder, given, allowed, encoder.base, progress or NoProgress())
    found = Found((), (), {}, 0) if search.equal else search.run()
    cost = recall_cost(run, given)
    made = Checked(
        run=run.name,
        where=given.where,
        kind=given.kind,
        n=len(sample),
        equal=search.equal,
        max_difference=search.max_difference,
        mean_difference=float(search.per_row.mean()),
        tolerance=allowed.value,
        tolerance_why=allowed.why,
        explained_by=explained(_named(found.changes, search)),
        tried=tuple(Tried(trial.changes[0].setting, trial.changes[0].to, trial.difference) for trial in found.nearest),
        untried=tuple(found.untried.items()),
        trials=found.trials,
        findings=_findings(run, sample, vectors, search.reference),
        notes=(*given.notes, *_notes(encoder, search, allowed)),
        recall_reference=cost.reference,
        recall_given=cost.given,
        recall_metric=cost.metric,
        recall_on=cost.on,
        concepts_moved=() if search.equal else moved_concepts(run, given, sample, search.reference),
    )
    keep(run, made, vectors)
    return made


def keep(run: Run, made: Checked, vectors: np.ndarray) -> None:
    """Keep an answer with the run; of more than `KEPT` the oldest goes."""

    def write(draft: Draft) -> None:
        (draft.path / _FILE).write_text(json.dumps(made.to_json()), encoding="utf-8")

    arguments = {"vectors": hash_array(vectors), "asked": datetime.now(UTC).isoformat(), "where": made.where}
    answer(run, QUESTION, arguments, write)
    for old in _folders(run)[KEPT:]:
        run.store.remove(old)


def kept_checks(run: Run) -> list[tuple[str, Checked]]:
    """(when, in UTC; answer) of the checks that are kept with a run, newest first."""
    return [
        (_asked(folder), Checked.of_json(json.loads(folder.file(_FILE).read_text(encoding="utf-8"))))
        for folder in _folders(run)
    ]


def _folders(run: Run) -> list[Folder]:
    """Answers of checks of this run, newest first."""
    origins = origins_of((run.folder,))
    mine = [
        folder
        for folder in run.store.folders("answer")
        if folder.manifest["spec"].get("question") == QUESTION and folder.made_from(origins)
        if run.key in folder.manifest["parents"]
    ]
    return sorted(mine, key=_asked, reverse=True)


def _asked(folder: Folder) -> str:
    return str(folder.manifest["spec"]["arguments"]["asked"])


def _encoder(run: Run, sample: Sample, given: Given, progress: Progress) -> SampleEncoder:
    """The encoder of a sample; the last one of a run stays in memory, with the passes it made."""
    strings = hash_bytes(canonical({name: sorted(some.values()) for name, some in given.strings.items()}).encode())
    key = ("check_encoder", sample.parts, sample.rows.tobytes(), sample.positions.tobytes(), strings)
    return run.memo(key, lambda: SampleEncoder(run, sample, given.strings, progress), limit=1)


def _vectors(given: Given, sample: Sample) -> np.ndarray:
    """(n, d) float64 given rows of the sample, in its order."""
    out = np.empty((len(sample), given.width))
    for part in dict.fromkeys(sample.parts):
        entries = sample.of(part)
        out[entries] = given.parts[part].at(sample.positions[entries])
    return out


def _strings(run: Run, sample: Sample) -> dict[str, Mapping[tuple[Part, int], str]]:
    """What a server could have embedded as text in place of each image of the sample: id, file name, path, address."""
    names: dict[str, dict[tuple[Part, int], str]] = {
        "its id": {},
        "its file name": {},
        "its path": {},
        "its file URL": {},
    }
    root = run.corpus.folder.facts["root"]
    for part, row in sample.places():
        items, key = run.corpus.items(part), (part, row)
        names["its id"][key] = str(items.ids[row])
        source, _, name = str(items.sources()[0][row]).partition(":")
        if source == "file" and root is not None:
            path = Path(root) / name
            names["its file name"][key], names["its path"][key] = path.name, str(path)
            names["its file URL"][key] = path.as_uri() if path.is_absolute() else str(path)
    return dict(names)


def _findings(run: Run, sample: Sample, vectors: np.ndarray, reference: np.ndarray) -> tuple[str, ...]:
    """What the vectors themselves show: constant ones, where the reference's differ."""
    if all_equal(vectors):
        return (f"All {len(vectors)} given vectors are one and the same.",) if not all_equal(reference) else ()
    modality = np.array([str(run.corpus.items(part).modality[row]) for part, row in sample.places()])
    words = {"image": "image", "text": "text", "image,text": "item with image and text"}
    return tuple(
        f"Every {words[one]} has the same vector ({int(mine.sum())} of them)."
        for one in dict.fromkeys(modality.tolist())
        if (mine := modality == one).sum() > 1 and all_equal(vectors[mine]) and not all_equal(reference[mine])
    )


def _notes(encoder: SampleEncoder, search: Search, allowed: Tolerance) -> tuple[str, ...]:
    """How the reference was had, where that needs a word."""
    if encoder.adapter is None:
        return (
            f"The stored vectors of the run are the reference: {encoder.why_no_model}. Settings that need a forward "
            "pass were not tried.",
        )
    moved = float(
        (np.linalg.norm(search.reference - encoder.stored(), axis=1) / np.linalg.norm(search.reference, axis=1)).max()
    )
    if moved > allowed.value:
        return (
            f"The model gives other vectors here than the run stores (largest difference {moved:.2g}): another device, "
            "or other versions. The reference is what it gives here.",
        )
    return ()


def _named(changes: tuple[Change, ...], search: Search) -> tuple[Change, ...]:
    """The changes, rows that are all moved by the same number of places said so."""
    if not any(change.setting == "rows shuffled" for change in changes):
        return changes
    steps = search.steps(changes)
    if len(steps) != 1 or 0 in steps:
        return changes
    (step,) = steps
    to = f"each vector stands {abs(step)} row{'s' if abs(step) > 1 else ''} {'later' if step > 0 else 'earlier'}"
    return tuple(replace(one, to=to) if one.setting == "rows shuffled" else one for one in changes)
