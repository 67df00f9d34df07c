"""Figure 2: which modality concepts and their energy belong to."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from scipy.stats import binomtest

from core.exhibits.shared.agreement import cannot, direction, percent
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import CONTRASTIVE, each_run, head, need_modalities
from core.questions import modality
from core.run import Run


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 2: concepts (share of those with a score) and energy (share) per bin of the modality score (Eq 4).

    share_text (score > 0.9), share_image (< 0.1), share_between: of the `scored` concepts, with Wilson 95% intervals
    over concepts.
    """
    frames = []
    for run in runs:
        found = modality.scores(run)
        counts = found.histogram["concepts"].to_numpy()
        scored = int(counts.sum())
        shares = {
            "text": found.share_text,
            "image": found.share_image,
            "between": 1 - found.share_text - found.share_image,
        }
        frame = pd.DataFrame({
            "left": found.histogram["left"], "right": found.histogram["right"], "count": counts,
            "share_of_concepts": counts / max(1, scored), "share_of_energy": found.histogram["energy"],
        })  # fmt: skip
        values: dict[str, float] = {"scored": scored, "undefined": found.undefined, "dead": found.dead}
        for name, share in shares.items():
            low, high = _wilson(share, scored)
            values |= {f"share_{name}": share, f"share_{name}_low": low, f"share_{name}_high": high}
        frames.append(frame.assign(**head(run), **values))
    table = pd.concat(frames, ignore_index=True)
    table.attrs = {
        "notes": [
            "Measured on the test queries and candidates; concepts that never fire have no score and are in no share."
        ]
    }
    return table


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson 95% interval of a share of n; NaN for none."""
    if not n:
        return float("nan"), float("nan")
    found = binomtest(round(share * n), n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 2: more than half of the concepts at the text end (multimodal LLM), or between the ends (contrastive)."""
    return tuple(_modality(name, rows.iloc[0]) for name, rows in each_run(table))


def _modality(name: str, row: pd.Series) -> Verdict:
    end, where = ("between", "between 0.1 and 0.9") if row["kind"] == CONTRASTIVE else ("text", "above 0.9")
    share, low, high = (float(row[f"share_{end}{x}"]) for x in ("", "_low", "_high"))
    if not row["scored"]:
        return cannot(name, "no concept has a modality score: the run lacks pure images or pure texts")
    outcome = direction(low - 0.5, high - 0.5, +1)
    why = (
        f"{percent(share)} of {int(row['scored']):,} concepts score {where} (95% interval {100 * low:.1f} to"
        f" {100 * high:.1f}%); "
    )
    why += f"above 0.9: {percent(row['share_text'])}, below 0.1: {percent(row['share_image'])}"
    return Verdict(on=name, outcome=outcome, why=why, n=int(row["scored"]))


EXHIBIT = Exhibit(
    name="figure-2",
    title="Figure 2",
    claim="Most concepts of multimodal LLMs score near 1, text; contrastive models are balanced.",
    definition=(
        "Modality score (Eq 4): mean activation on texts over the sum of the means on texts and on images, 1 "
        "= text, 0 = image. A concept that never fires has none. Shares are of the concepts that have a "
        "score."
    ),
    rule=(
        "A multimodal LLM agrees where the Wilson 95% interval of the share of concepts above 0.9 lies above "
        "a half, a contrastive model where that of the share from 0.1 to 0.9 does; below a half it "
        "disagrees. The thresholds are ours: the study shows a plot."
    ),
    compute=compute,
    judge=judge,
    check=need_modalities,
    on_sae=True,
    needs="an SAE, pure images and pure texts",
    contradictions=("K of the SAE is not given; whether the pooled embedding is normalised before it neither.",),
)
