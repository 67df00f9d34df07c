"""A cache of the release before this one is read: keys, numbers, and what it cannot prove.

`earlier/` was written by that release: a run of 10 queries and 12 candidates on own embeddings, two SAEs trained on
them, four answers. `earlier.json` says what it answered.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from core.fingerprint import STAGES, stage_key
from core.questions import concepts, retrieval
from core.run import open_run
from core.store import MANIFEST, Store
from tests.store.conftest import cli, flip, one_line

HERE = Path(__file__).parent
KNOWN = json.loads((HERE / "earlier.json").read_text())


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cache"
    shutil.copytree(HERE / "earlier", root)
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(root))
    return root


def test_its_numbers_are_the_same_read_and_computed(earlier: Path) -> None:
    run = open_run("small", Store(earlier))
    assert run.key == KNOWN["key"] and run.need_sae().k == 3 and [option.width for option in run.saes()] == [12, 16]
    for _ in range(2):
        for variant, recall in KNOWN["recall"].items():
            assert json.loads(json.dumps(retrieval.payload(run, variant)["recall"])) == recall
        energy = concepts.table(run)["energy"][:4]
        assert [float(value) for value in energy] == pytest.approx(KNOWN["energy"], rel=1e-9)
        shutil.rmtree(earlier / "answer", ignore_errors=True)
        run = open_run("small", Store(earlier))
    assert cli("runs").exit_code == 0 and cli("show", "small").exit_code == 0 and cli("verify").exit_code == 0


def test_it_is_whole_and_what_is_not_is_named(earlier: Path) -> None:
    assert cli("verify").exit_code == 0
    flip(next(earlier.glob("codes/*/data.npy")))
    assert "retrieval-lens run small" in one_line(cli("verify"))


def test_keys_are_what_they_were(earlier: Path) -> None:
    """A stage whose version is as it was gives every folder its old key; the run's spec gives the run its key."""
    for manifest in earlier.rglob(MANIFEST):
        content = json.loads(manifest.read_text())
        stage, _, version = content["stage"].partition("@")
        if int(version) == STAGES[stage]:
            assert stage_key(stage, content["spec"], content["parents"]) == content["key"]
    run = open_run("small", Store(earlier))
    assert stage_key("run", run.spec.keyed(), run.folder.manifest["parents"]) == KNOWN["key"]


def test_settings_that_change_no_number_are_in_no_key(earlier: Path) -> None:
    from dataclasses import replace

    run = open_run("small", Store(earlier))
    other = replace(run.spec, model=replace(run.spec.model, family="tuned"))
    assert other.keyed() == run.spec.keyed() and "compute" not in other.keyed() and "family" not in str(other.keyed())


def test_a_changed_manifest_that_has_no_sum_is_noticed_where_its_key_tells(earlier: Path) -> None:
    """Such a manifest proves its spec and parents by its key, and its files by their checksums; not its facts."""
    manifest = next(earlier.glob(f"sae/own-embeddings-12-3*/{MANIFEST}"))
    whole = manifest.read_text()
    for before, after in (('"seed": 0', '"seed": 1'), ('"key"', '"kez"'), ('"device"', '"devicf"')):
        manifest.write_text(whole.replace(before, after, 1))
        assert cli("verify").exit_code == 1, before
    manifest.write_text(whole)
    assert cli("verify").exit_code == 0


def test_adding_a_fact_to_a_run_gives_it_sums(earlier: Path) -> None:
    store = Store(earlier)
    run = open_run("small", store)
    assert "seal" not in run.folder.manifest
    store.state(run.folder, {"family": "tuned"})
    stated = open_run("small", store)
    assert stated.family == "tuned" and "seal" in stated.folder.manifest
    assert stated.folder.digest == run.folder.digest  # its answers stay
