"""What a specification curve crosses: at least twelve settings a claim, and the dictionaries that are at hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.exhibits import EXHIBITS, show_exhibit, table_1_overlap
from core.exhibits.claims import QUESTIONS
from core.questions import dictionaries
from core.run import Run
from core.store import Store
from tests.golden import make

OTHER = "PCA directions"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make.golden_run(Store(tmp_path_factory.mktemp("settings")))


@pytest.mark.parametrize("name", [question.exhibit for question in QUESTIONS])
def test_every_claim_rests_on_at_least_twelve_settings(name: str, run: Run) -> None:
    """Of one run on one task; siblings on other tasks come on top."""
    exhibit = EXHIBITS[name]
    assert exhibit.grid is not None
    settings = [tuple(sorted(exhibit.read_options(choices).items())) for choices in exhibit.grid([run])]
    assert len(set(settings)) == len(settings) >= 12


def test_overlaps_of_another_dictionary_are_its_own(run: Run) -> None:
    shown = show_exhibit("table-1", [run], dictionary=OTHER)
    table = shown.table.set_index("measures")
    assert set(table["dictionary"]) == {OTHER}
    expected = dictionaries.conclusions(run).set_index("dictionary").loc[OTHER]
    assert table["overlap"]["all three"] == pytest.approx(expected["overlap_all"])
    assert table["overlap"]["energy & bridge"] == pytest.approx(expected["overlap_energy_bridge"])
    own = show_exhibit("table-1", [run], share=0.1).table
    theirs = show_exhibit("table-1", [run], share=0.1, dictionary=OTHER).table
    assert not np.allclose(own["overlap"], theirs["overlap"])
    assert ((theirs["overlap_low"] <= theirs["overlap"]) & (theirs["overlap"] <= theirs["overlap_high"])).all()


def test_table_1_is_asked_with_every_sae_that_all_runs_have(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = table_1_overlap.grid([run])
    monkeypatch.setattr(table_1_overlap, "other_saes", lambda runs: ["SAE seed1"])
    more = table_1_overlap.grid([run])
    added = [choices for choices in more if choices not in plain]
    assert added == [{"dictionary": "SAE seed1", "sets": sets} for sets in table_1_overlap.OVERLAP_METRICS]
