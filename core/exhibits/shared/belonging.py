"""Do a run's model, dictionary and data belong together? What speaks against it, each reason with its figures.

Two rules, and no other opinion:
1. A model that is shipped with this project has seen the drawn demo world and nothing else. On any other corpus its
   embeddings, captions and concepts mean little, whatever its numbers are.
2. A dictionary that explains less of the variance of the items of one modality than the gate asks for
   (`gate.LEAST_EXPLAINED`) does not stand for these embeddings.
Beside the reasons stand what the dictionary explains here and explained where it was trained, and the raw recall beside
chance. A low recall alone is no reason: that raw embeddings retrieve badly is what the study is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from core.analysis.retrieval import Metric
from core.exhibits.shared import gate
from core.models.table import find
from core.questions import fidelity, retrieval
from core.run import Run

K = 5
"""Of the recall that stands beside chance."""
METRIC: Metric = "recall@5"


@dataclass(frozen=True)
class Belonging:
    """What speaks against a run as a whole.

    Attributes:
        what: what does not belong together, a clause; "" where nothing speaks against the run.
        reasons: why, one clause each.
        figures: what was measured on this run, in words.
    """

    what: str = ""
    reasons: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()


def belonging(run: Run) -> Belonging:
    """What speaks against this run's model, dictionary and data as a match.

    Raises:
        NotCached: it must be measured first, and only what is cached was asked for.
    """
    world, dictionary = _foreign_world(run), _dictionary(run)
    if not world and not dictionary:
        return Belonging()
    what = "model and data do not belong together" if world else "the SAE does not stand for these items"
    return Belonging(what, tuple(reason for reason in (world, dictionary) if reason), tuple(_figures(run)))


def _foreign_world(run: Run) -> str:
    """Rule 1."""
    row = find(run.model_name)
    if row is None or row.folder is None or run.spec.corpus.source == "demo":
        return ""
    return f"the model {row.name} was trained on the drawn demo world only, and these items do not come from it"


def _dictionary(run: Run) -> str:
    """Rule 2."""
    if run.sae is None or "candidates" not in run.parts:
        return ""
    explained = fidelity.fidelity(run).explained
    low = [f"{share(value)} of the variance of {of}" for of, value in explained.items() if value < gate.LEAST_EXPLAINED]
    worse = " (below 0: worse than their mean)" if min(explained.values(), default=0.0) < 0 else ""
    return f"the SAE explains {' and '.join(low)}, less than {gate.LEAST_EXPLAINED:.0%}{worse}" if low else ""


def _figures(run: Run) -> list[str]:
    """What the dictionary explains, here and where it was trained; raw recall beside chance."""
    figures: list[str] = []
    if "candidates" not in run.parts:
        return figures
    if run.sae is not None:
        here = ", ".join(f"{share(value)} of {of}" for of, value in fidelity.fidelity(run).explained.items())
        trained = run.sae_folder.facts.get("last", {}).get("explained_variance")
        beside = "" if trained is None else f" (of what it was trained on: {share(trained)})"
        figures.append(f"variance explained by the SAE: {here}{beside}")
    chance = retrieval.chance_levels(run).get(K)
    if chance is not None:
        evaluation = retrieval.evaluate(run, "none").evaluation
        low, high = evaluation.ci95[METRIC]
        interval = "" if isnan(low) else f" [{100 * low:.1f}, {100 * high:.1f}]"
        figures.append(f"Recall@{K}, raw: {100 * evaluation.recall[K]:.1f}%{interval}, by chance {100 * chance:.1f}%")
    return figures


def share(value: float) -> str:
    """A share as per cent, with a true minus."""
    return f"{100 * value:.0f}%".replace("-", "−")
