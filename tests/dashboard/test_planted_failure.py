"""A planted failure, found, explained, repaired and exported in a browser: in a copy of the demo's corpus the captions
of one thing are systematically wrong."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dashboard_driver import Tab, wait_for
from PIL import Image

from core import pipeline, world
from core.config import CorpusSpec, ModelSpec, RunSpec, SaeSpec
from core.progress import NoProgress
from core.questions import failure_groups, retrieval, what_if
from core.run import Run, open_run
from core.store import Store

THING, CALLED = "fox", "candle"
PLANTED, OTHERS = 12, 36


def plant(folder: Path) -> None:
    """Scenes of the test split with a caption each; every caption of a scene with a fox says candle instead."""
    folder.mkdir()
    wanted, index, lines, taken = {True: PLANTED, False: OTHERS}, 0, [], set()
    while any(wanted.values()):
        scene = world.scene("test", index)
        index += 1
        things = {place.thing for place in scene.placements}
        planted = THING in things
        if CALLED in things or not wanted[planted]:
            continue
        places = tuple(replace(p, thing=CALLED if p.thing == THING else p.thing) for p in scene.placements)
        caption = world.caption(replace(scene, placements=places), world.stream("planted", index))
        if caption in taken:
            continue
        taken.add(caption)
        wanted[planted] -= 1
        name = f"{'planted' if planted else 'other'}-{index}.png"
        Image.fromarray(world.render(scene)).save(folder / name)
        lines.append(json.dumps({"file": name, "caption": caption}))
    (folder / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("planted")
    plant(root / "corpus")
    corpus = CorpusSpec(source="folder", path=str(root / "corpus"), task=4)
    spec = RunSpec(name="planted", corpus=corpus, model=ModelSpec(name="demo-clip"), sae=SaeSpec(source="shipped"))
    store = Store(root / "cache")
    pipeline.run(spec, store, NoProgress())
    return open_run("planted", store)


@pytest.fixture
def planted_server(run: Run, tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log, environment = tmp_path / "log.txt", os.environ | {"RETRIEVAL_LENS_CACHE": str(run.store.root)}
    with log.open("w") as out:
        command = [sys.executable, "-m", "core", "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def is_planted(run: Run) -> np.ndarray:
    return np.array(["planted" in str(name) for name in run.corpus.items("queries").ids])


def test_the_planted_queries_are_those_that_fail(run: Run) -> None:
    ranks, planted = retrieval.evaluate(run).ranks, is_planted(run)
    assert (ranks[planted] > 1).mean() > (ranks[~planted] > 1).mean() + 0.3
    assert planted[failure_groups.failing_queries(run)["row"]].mean() > 0.9


def explained(run: Run) -> what_if.Repair:
    """The smallest repair of a planted query that switches off what the wrong caption says."""
    for query in np.flatnonzero(is_planted(run) & (retrieval.evaluate(run).ranks > 1)).tolist():
        found = what_if.repairs(run, query)
        if found is not None and found.smallest is not None and any(CALLED in k for k in found.smallest.labels):
            return found.smallest
    raise AssertionError("no planted query is repaired by switching off a concept of the wrong word")


@pytest.mark.browser
@pytest.mark.timeout(900)
@pytest.mark.skipif(not os.environ.get("RETRIEVAL_LENS_LONG_TESTS"), reason="RETRIEVAL_LENS_LONG_TESTS is not set")
def test_found_explained_repaired_and_exported(run: Run, browser: object, planted_server: str, tmp_path: Path) -> None:
    repair = explained(run)
    query = repair.query
    tab = Tab(browser, planted_server)
    tab.open("retrieval", run=run.name, by="hub", picked=str(query))
    failing = failure_groups.failing_queries(run)
    assert f"{len(failing)} of {PLANTED + OTHERS} queries fail under Raw embeddings" in tab.text()
    # Found: the group of the candidate that stands first in its place.
    wrong = failing.set_index("row").loc[query, "wrong"]
    hub = failing["wrong"].value_counts().index.get_loc(wrong)
    tab.open("retrieval", run=run.name, by="hub", hub=str(hub), picked=str(query))
    tab.page.get_by_role("radio", name="Repair one query").or_(
        tab.page.get_by_role("button", name="Repair one query")
    ).first.click()
    tab.wait_for_link(repair="query", query=str(query))
    # Explained: each active concept switched off, beside matched ones; and the smallest set that repairs.
    tab.page.get_by_text(re.compile(r"of \d+ active concepts repair this query")).first.wait_for()
    card = tab.page.get_by_text("Smallest repair").first
    card.wait_for()
    assert CALLED in card.locator("xpath=..").inner_text()
    tab.page.get_by_text(f"rank {repair.rank_before} → 1").first.wait_for()
    # Exported: once its control is ranked.
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Export the finding").first.click()
    download.value.save_as(tmp_path / "finding.json")
    finding = json.loads((tmp_path / "finding.json").read_text(encoding="utf-8"))
    assert finding["variant"] == repair.variant and finding["rank"] == 1 and "planted" in finding["query"]
    assert finding["control"]["matched_edits"] == 20
    # Repaired: the edit is the variant of all pages, and the query no longer fails.
    tab.page.get_by_role("button", name="Apply this edit").first.click()
    tab.wait_for_link(variant=repair.variant)
    tab.settle("retrieval")
    left = failure_groups.failing_queries(run, repair.variant)
    assert query not in left["row"].tolist()
    tab.page.get_by_text(re.compile(rf"^{len(left)} of {PLANTED + OTHERS} queries fail under")).first.wait_for()
    tab.healthy()
    tab.context.close()
