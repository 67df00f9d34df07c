"""The study's four claims, each held against the numbers of a run: what is measured here, what the study found, and
whether they agree.

In: keys of a run and of one to compare with (or None). Out: `Claim`s, ready to be shown. All numbers come from
`core.questions`; here they are only put beside each other. A claim that cannot be judged says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Any

from core.errors import NotAvailable
from dashboard import data
from dashboard.words import count, percent, points

STUDY_REMOVAL = (
    "On MSCOCO, removal took Recall@1 from 5.6 to 13.2% (Qwen2-VL), 4.7 to 17.0% (Qwen3-VL) and 5.9 to 23.2%"
    " (PaliGemma2)."
)
STUDY_REALIGN = "On MSCOCO, Recall@5 rose from 15.4 to 72.6% (Qwen2-VL) and from 14.2 to 71.2% (PaliGemma2)."
STUDY_OVERLAP = "All three sets shared 55–65% of their concepts in four MLLMs, 29–48% in CLIP and SigLIP2."
CLIP_MOST_OVERLAP, MLLM_LEAST_OVERLAP = 0.48, 0.55
CLEAR = 0.05
"""A p-value below which a difference is taken as real; above it nothing is judged."""


@dataclass(frozen=True)
class Claim:
    """One claim. `agrees` is None where it cannot be judged; `why` is shown beside the badge."""

    title: str
    value: str
    unit: str
    sentence: str
    study: str
    agrees: bool | None
    page: str
    see: str
    word: str


def claims(run: str, other: str | None) -> list[Claim]:
    """All four, in the study's order."""
    makers: tuple[Callable[[str, str | None], Claim], ...] = (
        text_dominates,
        bridging_homogenises,
        top_distract,
        whitening_repairs,
    )
    return [_or_unavailable(make, run, other) for make in makers]


def text_dominates(run: str, other: str | None) -> Claim:
    """Claim 1: most concepts of an MLLM score near 1; contrastive models are balanced."""
    facts, found = data.facts(run), data.ask("modality.scores", run)
    against = ""
    if other:
        their = data.ask("modality.scores", other)
        against = f" In {data.facts(other).name}: {percent(their.share_text)} and {percent(their.share_image)}."
    known, most = not isnan(found.share_text), found.share_text > 0.5
    if not known:
        against = " The run lacks items of one of the two pure modalities, so no concept has a score."
    return Claim(
        title="Claim 1 · Text dominates the concepts",
        value=short(found.share_text),
        unit=f"of {count(found.alive)} concepts speak only text",
        sentence=(
            f"{percent(found.share_image)} speak only images. Text concepts hold {percent(found.energy_share_text)} of"
            f" the energy, image concepts {percent(found.energy_share_image)}.{against}"
        ),
        study="In MLLMs most concepts have a modality score near 1; contrastive models are balanced.",
        agrees=(not most if facts.contrastive else most) if known else None,
        page="modality",
        see="See the distribution",
        word="share_text",
    )


def bridging_homogenises(run: str, other: str | None) -> Claim:
    """Claim 2: the strongest, the bridging and the attributed concepts coincide more in MLLMs."""
    facts, mine = data.facts(run), data.ask("modality.overlaps", run)
    value, n = float(mine["overlap"].iloc[-1]), int(mine["n"].iloc[0])
    against = ""
    if other:
        theirs = float(data.ask("modality.overlaps", other)["overlap"].iloc[-1])
        against = f" In {data.facts(other).name}: {percent(theirs, 0)}."
        mllm_more = value > theirs if not facts.contrastive else theirs > value
        agrees = mllm_more if facts.contrastive != data.facts(other).contrastive else None
    else:
        agrees = value <= CLIP_MOST_OVERLAP if facts.contrastive else value >= MLLM_LEAST_OVERLAP
    return Claim(
        title="Claim 2 · The same few concepts do everything",
        value=short(value),
        unit="of the top 1% are shared by all three measures",
        sentence=(
            f"Sets of {n} concepts by energy, by bridge score and by attribution.{against} Small sets make this a"
            " coarse number."
        ),
        study=STUDY_OVERLAP,
        agrees=agrees,
        page="modality",
        see="See the overlaps",
        word="overlap",
    )


def top_distract(run: str, other: str | None) -> Claim:
    """Claim 3: projecting out the concepts that contribute most raises recall, and more than random ones do."""
    curve = data.ask("removal.removal_curve", run)
    at = curve[curve["share"] == 0.01]
    raw = float(curve.loc[curve["share"] == 0, "recall@1"].iloc[0])
    top = float(at.loc[at["kind"] == "top attribution", "recall@1"].iloc[0])
    control = at.loc[at["kind"] == "random concepts", "recall@1"]
    concepts = int(at["concepts"].iloc[0])
    p = recall_change(run, "remove-top(share=0.01)")["p_value"]
    gain = max(top, float(control.max())) - raw
    reading = "as many random ones" if gain else "as many random ones, too,"
    return Claim(
        title="Claim 3 · Top contributors are distractors",
        value=points(top - raw),
        unit=f"Recall@1 without the top {concepts} concepts",
        sentence=(
            f"From {percent(raw)} to {percent(top)} with the top 1% by attribution projected out; removing {reading} "
            f"gives {percent(float(control.min()))} to {percent(float(control.max()))} (control)."
        ),
        study=STUDY_REMOVAL,
        agrees=top > raw and top > float(control.max()) if p < CLEAR else None,
        page="similarity",
        see="See the removal curve",
        word="share",
    )


def whitening_repairs(run: str, other: str | None) -> Claim:
    """Claim 4: ReAlign raises zero-shot recall; how much of it is centring alone."""
    split = data.ask("retrieval.gain_split", run).set_index("variant")["recall@1"]
    p = recall_change(run, "realign")["p_value"]
    raw, centred, after = (float(split[v]) for v in ("none", "center", "realign"))
    alone = f"Centring each side alone gives {percent(centred)}. " if after > raw else ""
    sample = f"{'p < 0.001' if p < 0.001 else f'p = {p:.3f}'}, paired over {count(data.facts(run).queries)} queries"
    return Claim(
        title="Claim 4 · Whitening repairs retrieval",
        value=points(after - raw),
        unit="Recall@1 with ReAlign",
        sentence=f"From {percent(raw)} to {percent(after)} ({sample}). {alone}No training, one matrix per side.",
        study=STUDY_REALIGN,
        agrees=after > raw if p < CLEAR else None,
        page="retrieval",
        see="See before and after",
        word="recall@1",
    )


def recall_change(run: str, variant: str) -> Any:
    """Recall@1 of the raw embeddings against a variant, tested query by query."""
    return data.ask("retrieval.compare", run, "none", variant).table.set_index("metric").loc["recall@1"]


def short(ratio: float) -> str:
    """Percent for a headline: a decimal only where it matters."""
    return percent(ratio, 0 if ratio >= 0.1 else 1)


def _or_unavailable(make: Callable[[str, str | None], Claim], run: str, other: str | None) -> Claim:
    try:
        return make(run, other)
    except NotAvailable as error:
        title = (make.__doc__ or "").partition(": ")[2].split(";")[0].rstrip(".")
        return Claim(
            title.capitalize(),
            "–",
            "not available",
            str(error.what).capitalize() + ".",
            "",
            None,
            "runs",
            "See the run",
            "items",
        )
