"""The golden run answers as committed, to 1e-9: whoever changes a number must raise a version."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import core.questions
from core.analysis.variants.steps import STEPS
from core.questions import answers as cached
from core.run import Run
from core.store import Store
from tests.golden import asked, make


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The golden run in a store of its own."""
    return make.golden_run(Store(tmp_path_factory.mktemp("golden")))


def test_numbers_change_only_together_with_a_version(run: Run) -> None:
    known = json.loads(make.ANSWERS.read_text(encoding="utf-8"))
    assert known["versions"] == make.versions(), "a version was raised: run `python -m tests.golden.make`"
    # As JSON, as the committed ones are: 1 and 1.0, tuples and lists are the same there.
    found = json.loads(json.dumps(make.answers(run)))
    assert make.changed(known["answers"], found) == [], make.RAISE


def test_every_public_question_is_asked() -> None:
    known = {name.partition(",")[0] for name in asked.QUESTIONS} | set(asked.LEFT_OUT)
    missing = []
    for module in pkgutil.iter_modules(core.questions.__path__):
        loaded = importlib.import_module(f"core.questions.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            own = function.__module__ == loaded.__name__ and not name.startswith("_")
            takes_a_run = own and next(iter(inspect.signature(function).parameters), "") in ("run", "first")
            if takes_a_run and not {f"{module.name}.{name}", f"{module.name}.*"} & known:
                missing.append(f"{module.name}.{name}")
    assert missing == []


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        (0.5, 0.5 * (1 + 1e-10), False),
        (0.5, 0.5 * (1 + 1e-8), True),
        (1e-15, -1e-15, False),
        ([1, 2], [1, 2, 3], True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ("nan", 0.0, True),
    ],
)
def test_differences_are_seen_from_a_billionth_on(before: Any, after: Any, differ: bool) -> None:
    assert bool(make.differences(before, after)) is differ


def test_cached_answers_hang_on_every_option_of_their_variants(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variant in an argument of an answer names all options of its steps: a changed default is a new key."""
    seen: list[tuple[str, Any]] = []
    answer = cached.answer

    def recorded(run: Run, question: str, arguments: Any, write: Any, *made_from: Any) -> Any:
        seen.append((question, json.loads(json.dumps(arguments))))
        return answer(run, question, arguments, write, *made_from)

    for module in pkgutil.iter_modules(core.questions.__path__):
        loaded = importlib.import_module(f"core.questions.{module.name}")
        if getattr(loaded, "answer", None) is answer:
            monkeypatch.setattr(loaded, "answer", recorded)
    run = make.golden_run(run.store)  # nothing remembered yet
    make.answers(run)
    assert {"evaluate", "evaluate-view", "geometry", "removal", "remedies", "exhibit-table-3"} <= {q for q, _ in seen}
    short = [(question, text) for question, arguments in seen for text in _texts(arguments) if _is_short(text)]
    assert short == []


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        # An exhibit's options name steps; `variants` beside them spells these out. `directions` names a kind of fit.
        return [text for key, item in value.items() if key not in ("options", "directions") for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _is_short(text: str) -> bool:
    """Whether a text is a chain of steps with an option of some step left out."""
    steps = [step.partition("(") for step in text.split("+")]
    if not all(name in STEPS for name, _, _ in steps):
        return False
    given = [{word.partition("=")[0] for word in rest.rstrip(")").split(",")} for _, _, rest in steps]
    every = [{option.name for option in STEPS[name].options} for name, _, _ in steps]
    return any(not options <= words for options, words in zip(every, given, strict=True))


def test_a_short_variant_is_seen() -> None:
    assert _is_short("realign") and _is_short("center+realign(beta=0.1)")
    assert not _is_short("realign(beta=0.1,eps=1e-05,statistics=per-side)") and not _is_short("recall@5")


def test_the_golden_run_is_small() -> None:
    folder = Path(make.__file__).parent
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 1_000_000
