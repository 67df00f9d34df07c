"""The study's four claims, each judged on one run (and a contrastive one beside it) by a rule that is written down here.

Verdicts: True agrees, False differs, None cannot be judged on these runs; `rule` says how, `why_not` says why None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.analysis.retrieval import Evaluation, paired_difference
from core.questions import modality
from core.questions.labels import TEST_PARTS
from core.questions.retrieval import evaluate
from core.run import Run

TOP = "remove-top(share=0.01)"
CONTROLS = 5
"""Random-concept controls of equal number, each with its own seed."""


@dataclass(frozen=True)
class Figure:
    """One live number: `name` is a word of the dashboard, `value` a ratio or plain number, `low`, `high` its 95% interval or NaN."""

    name: str
    label: str
    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Claim:
    """One claim of the study and what this run says about it."""

    title: str
    study: str
    here: tuple[Figure, ...]
    agrees: bool | None
    rule: str
    page: str
    why_not: str = ""


@dataclass(frozen=True)
class Story:
    """Opening numbers and the four claims."""

    model: str
    other_model: str | None
    task: int
    items: int
    queries: int
    candidates: int
    raw: Figure
    centred: Figure
    whitened: Figure
    other_raw: Figure | None
    claims: tuple[Claim, ...]


def story(run: Run, other: Run | None = None) -> Story:
    """Everything the overview shows. `other` is a run to compare with: a contrastive model on the same task."""
    raw = evaluate(run, "none").evaluation
    claims = [_modality_claim(run, other), _bridging_claim(run, other), _distractor_claim(run)] if run.sae is not None else []
    return Story(
        model=run.model_name,
        other_model=other.model_name if other else None,
        task=run.spec.corpus.task,
        items=sum(len(run.corpus.items(part)) for part in TEST_PARTS),
        queries=raw.queries,
        candidates=raw.candidates,
        raw=_recall("raw", raw),
        centred=_recall("centred per side", evaluate(run, "center").evaluation),
        whitened=_recall("ReAlign", evaluate(run, "realign").evaluation),
        other_raw=_recall("raw", evaluate(other, "none").evaluation) if other else None,
        claims=(*claims, _whitening_claim(run)),
    )


def _recall(label: str, e: Evaluation, metric: str = "recall@1") -> Figure:
    return Figure(metric, label, e.value(metric), *e.ci95[metric])  # type: ignore[arg-type, index]


def _modality_claim(run: Run, other: Run | None) -> Claim:
    title, page = "Text dominates", "modality"
    study = "Most concepts of a multimodal LLM score near 1, text; contrastive models are balanced (Figure 2)."
    rule = "agrees if more than half of the concepts that fire are text concepts (score above 0.9), and more than in the run beside it"
    mine = modality.scores(run)
    here = [Figure("share_text", run.model_name, mine.share_text), Figure("energy_share_text", run.model_name, mine.energy_share_text)]
    if np.isnan(mine.share_text):
        return Claim(title, study, (), None, rule, page, "this task lacks items of one pure modality")
    theirs = modality.scores(other) if other is not None and other.sae is not None else None
    if theirs is not None and not np.isnan(theirs.share_text):
        here.append(Figure("share_text", other.model_name, theirs.share_text))  # type: ignore[union-attr]
    agrees = mine.share_text > 0.5 and (theirs is None or not mine.share_text <= theirs.share_text)
    return Claim(title, study, tuple(here), bool(agrees), rule, page)


def _bridging_claim(run: Run, other: Run | None) -> Claim:
    title, page = "Bridging homogenises", "modality"
    study = "The top 1% by energy, by bridging and by attribution coincide more in multimodal LLMs (0.55-0.65) than in contrastive models (0.29-0.48; Table 1)."
    rule = "agrees if the overlap of all three top sets is larger than in the contrastive run beside it"
    here = [Figure("overlap", run.model_name, _triple(run))]
    if other is None or other.sae is None:
        return Claim(title, study, tuple(here), None, rule, page, "choose a run of a contrastive model to compare with")
    here.append(Figure("overlap", other.model_name, _triple(other)))
    return Claim(title, study, tuple(here), here[0].value > here[1].value, rule, page)


def _triple(run: Run) -> float:
    return float(modality.overlaps(run).set_index("measures")["overlap"]["all three"])


def _distractor_claim(run: Run) -> Claim:
    study = "Projecting out the subspace of the top 1% by attribution raises Recall@1, from 5.6 to 13.2% for Qwen2-VL on MSCOCO (Table 2; no control reported)."
    rule = f"agrees if removal raises Recall@1 (95% interval above 0) and beats each of {CONTROLS} removals of as many random concepts"
    raw, removed = evaluate(run, "none").evaluation, evaluate(run, TOP).evaluation
    count = max(1, round(0.01 * run.need_sae().width))
    controls = [evaluate(run, f"remove-random(count={count},seed={s})").evaluation.recall[1] for s in range(CONTROLS)]
    change = paired_difference(raw, removed)
    here = (
        _recall("before", raw),
        _recall("top 1% removed", removed),
        Figure("recall@1", "random concepts removed", float(np.mean(controls)), min(controls), max(controls)),
    )
    agrees = change.low > 0 and removed.recall[1] > max(controls)
    return Claim("The top contributors distract", study, here, bool(agrees), rule, "similarity")


def _whitening_claim(run: Run) -> Claim:
    study = "ReAlign raises zero-shot recall everywhere (Tables 3, 4, 8); for Qwen2-VL on MSCOCO Recall@1 rises from 0.06 to 0.26 by centring alone (Figure 6)."
    rule = "agrees if ReAlign raises Recall@1: 95% interval of the paired difference above 0"
    raw, centred, whitened = (evaluate(run, v).evaluation for v in ("none", "center", "realign"))
    here = (_recall("raw", raw), _recall("centred", centred), _recall("ReAlign", whitened))
    return Claim("Whitening repairs", study, here, bool(paired_difference(raw, whitened).low > 0), rule, "retrieval")
