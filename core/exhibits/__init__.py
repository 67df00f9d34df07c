"""Each figure and table of the study as one function on runs.

`show_exhibit("table-1", runs)` computes one; `EXHIBITS` lists all with their claim; `reported("Table 1")` gives the printed numbers.
`tables.py` and `figures.py` hold the functions: runs in, one tidy DataFrame out.
What a run lacks is a NotAvailable with the lines that add it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError, nearest
from core.exhibits import figures, tables

if TYPE_CHECKING:
    import pandas as pd

    from core.run import Run


@dataclass(frozen=True)
class Exhibit:
    """One exhibit: what the study claims with it, and the function that shows it on runs."""

    name: str
    title: str
    claim: str
    compute: Callable[[Sequence[Run]], pd.DataFrame]


_ALL = (
    Exhibit("figure-1", "Figure 1", "Zero-shot, multimodal LLMs retrieve worse than a small CLIP.", figures.models_compared),
    Exhibit(
        "figure-2",
        "Figure 2",
        "Most concepts of multimodal LLMs score near 1, text; contrastive models are balanced.",
        figures.modality_density,
    ),
    Exhibit("figure-3", "Figure 3", "Few concepts hold 99% of the energy, in every kind of model.", figures.energy_concentration),
    Exhibit("figure-4", "Figure 4", "Dropping image tokens changes retrieval little; dropping the prompt hurts.", figures.token_masks),
    Exhibit("figure-5", "Figure 5", "The last layer retrieves best.", figures.layers),
    Exhibit("figure-6", "Figure 6", "Whitening works over a wide range of shrinkage; at beta = 1 it only centres.", figures.beta_sweep),
    Exhibit("table-1", "Table 1", "Top concepts by energy, bridging and attribution coincide more in multimodal LLMs.", tables.overlaps),
    Exhibit("table-2", "Table 2", "Projecting out the top-attribution subspace raises recall.", tables.removal),
    Exhibit("table-3", "Table 3", "ReAlign raises recall on every task.", tables.realign),
    Exhibit("table-5", "Table 5", "Mean pooling is the best of four.", tables.pooling),
    Exhibit("table-7", "Table 7", "ReAlign costs less than computing the similarities.", tables.cost),
    Exhibit("table-8", "Table 8", "ReAlign beats PCA and ZCA whitening.", tables.whitenings),
    Exhibit("table-9", "Table 9", "ReAlign helps contrastive models less.", tables.realign),
)

EXHIBITS: dict[str, Exhibit] = {exhibit.name: exhibit for exhibit in _ALL}
"""Every exhibit by name. Table 4 compares fine-tuned retrievers, which need their weights: run `table-3` on such runs."""


def show_exhibit(name: str, runs: Sequence[Run]) -> pd.DataFrame:
    """The exhibit's table on these runs; ratios are 0-1.

    Raises:
        UserError: no such exhibit, or no run.
        NotAvailable: a run lacks what the exhibit shows.
    """
    if name not in EXHIBITS:
        raise UserError("no such exhibit", got=repr(name), allowed=nearest(name, EXHIBITS))
    if not runs:
        raise UserError("an exhibit needs a run", got="none", todo=f"retrieval-lens exhibit {name} demo")
    return EXHIBITS[name].compute(runs)


@cache
def _reported() -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(Path(__file__).parent / "reported.csv")


def reported(title: str) -> pd.DataFrame:
    """The study's printed numbers of one exhibit: model, dataset, task, setting, metric, value (as printed), note."""
    table = _reported()
    return table[table["exhibit"] == title].drop(columns="exhibit").reset_index(drop=True)
