"""A run packed and taken into another cache: the same bytes twice, the same numbers there, and what is in its way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.errors import NotAvailable, UserError
from core.packs.archive import read_index
from core.packs.pack import Packed, pack
from core.packs.unpack import unpack
from core.run import Run, open_run
from core.store import UNPACKING, Store
from tests.packs.conftest import index_of
from tests.store.conftest import ask, cli, flip, one_line
from tests.torture.tiny import state


def test_two_archives_of_one_run_are_equal(root: Path, tmp_path: Path) -> None:
    run = open_run("golden", Store(root))
    one, two = pack(run, tmp_path / "a.lens"), pack(open_run("golden", Store(root)), tmp_path / "b.lens")
    assert (tmp_path / "a.lens").read_bytes() == (tmp_path / "b.lens").read_bytes()
    assert one.sha256 == two.sha256 and one.bytes == (tmp_path / "a.lens").stat().st_size
    shutil.copytree(root, tmp_path / "copy")
    pack(open_run("golden", Store(tmp_path / "copy")), tmp_path / "a.lens")
    assert (tmp_path / "a.lens").read_bytes() == (tmp_path / "b.lens").read_bytes(), "a copy of the cache is the same"


def test_any_tar_program_can_look_into_it(archive: Path) -> None:
    listed = subprocess.run(["tar", "tvf", archive], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(listed) == 1 + len(index_of(archive)["files"]) and all(line.startswith("-rw-r--r--") for line in listed)


def test_the_same_numbers_in_another_cache(archive: Path, pristine: Path, empty: Path) -> None:
    assert cli("unpack", archive).exit_code == 0
    assert ask(empty) == ask(pristine)
    listed = json.loads(cli("runs", "--json").stdout)
    assert [run["name"] for run in listed["runs"]] == ["golden"] and listed["broken"] == []
    checked = json.loads(cli("verify", "--json").stdout)
    assert checked["broken"] == [] and checked["notes"] == [] and checked["files"] == len(index_of(archive)["files"])
    assert cli("show", "golden").exit_code == 0 and cli("remove", "golden").exit_code == 0
    assert [path for path in empty.rglob("*") if path.is_file()] == [], "everything goes with the run"


def test_answers_go_along_and_are_not_computed_again(
    archive: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(archive, Store(empty))
    from core.questions import answers

    def computed(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(answers, "about_to_compute", computed)
    ask(empty)


def test_vectors_where_an_archive_says_they_are_are_not_read(archive: Path, root: Path, empty: Path) -> None:
    """The folder that the archive names is on this machine; it may be anybody's."""
    assert open_run("golden", Store(root)).corpus.own_embeddings("queries") is not None
    assert unpack(archive, Store(empty)).run.corpus.own_embeddings("queries") is None


def test_packed_again_where_it_was_unpacked(archive: Path, empty: Path, tmp_path: Path) -> None:
    unpack(archive, Store(empty))
    pack(open_run("golden", Store(empty)), tmp_path / "again.lens")
    assert (tmp_path / "again.lens").read_bytes() == archive.read_bytes()


def test_unpacked_twice_and_where_it_was_made(archive: Path, root: Path, empty: Path) -> None:
    assert unpack(archive, Store(empty)).new == len(index_of(archive)["folders"])
    assert unpack(archive, Store(empty)).new == 0
    before = state(root)
    assert unpack(archive, Store(root)).new == 0 and state(root) == before
    assert not open_run("golden", Store(root)).was_unpacked, "a run that was made here stays one that was made here"


def test_another_run_of_that_name_is_not_overwritten_unless_asked(archive: Path, empty: Path, tmp_path: Path) -> None:
    other = _other(Store(empty), "golden")
    before = state(empty)
    line = one_line(cli("unpack", archive))
    assert "a run of that name is here already" in line and other.key in line and "--overwrite" in line
    assert state(empty) == before
    result = cli("unpack", archive, "--overwrite", "--json")
    assert json.loads(result.stdout)["replaced"] == [other.key]
    assert [run["key"] for run in json.loads(cli("runs", "--json").stdout)["runs"]] == [index_of(archive)["key"]]
    assert json.loads(cli("verify", "--json").stdout)["broken"] == []


def test_parts_made_with_other_numbers(archive: Path, root: Path, empty: Path) -> None:
    """The same keys, other numbers: as a GPU and a CPU give. Replaced where asked, never under another run's feet."""
    unpack(archive, Store(empty))
    _perturb(empty)
    before = state(empty)
    line = one_line(cli("unpack", archive))
    assert "made with other numbers" in line and state(empty) == before
    assert cli("unpack", archive, "--overwrite").exit_code == 0
    assert ask(empty) == ask(root) and state(empty) != before
    _perturb(empty)
    _other(Store(empty), "beside")
    before = state(empty)
    assert "'beside' needs it as it is" in one_line(cli("unpack", archive, "--overwrite"))
    assert state(empty) == before


def test_an_answer_that_was_computed_here_stays(archive: Path, empty: Path) -> None:
    """Answers hold what was measured on a machine, such as seconds: two of them may differ."""
    from core.manifest import MANIFEST, as_text, sealed

    unpack(archive, Store(empty))
    answer = Store(empty).folders("answer")[0]
    other = sealed(answer.manifest | {"facts": answer.facts | {"measured": 1.5}})
    (answer.path / MANIFEST).write_text(as_text(other))
    assert unpack(archive, Store(empty)).new == 0
    found = Store(empty).find("answer", answer.key)
    assert found is not None and found.facts["measured"] == 1.5


def test_a_broken_part_is_put_in_order(archive: Path, empty: Path) -> None:
    unpack(archive, Store(empty))
    (next(empty.glob("sae/*/manifest.json"))).write_text("{}")
    assert cli("verify").exit_code == 1
    assert unpack(archive, Store(empty)).new == 1
    assert cli("verify").exit_code == 0


def test_a_failure_on_the_way_puts_all_back(archive: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever rename fails, the cache is as it was."""
    rename, left = os.rename, 0

    def fail(source: Path, target: Path) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(5, "Input/output error", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    for at in (1, 4, len(index_of(archive)["folders"])):
        left = at
        assert cli("unpack", archive).exit_code == 1
        assert [path for path in empty.rglob("*") if path.is_file()] == []
        assert open_runs(empty) == []


def open_runs(root: Path) -> list[str]:
    from core.run import list_runs

    return [run.name for run in list_runs(Store(root))]


def test_a_killed_unpack_leaves_no_run_and_can_be_repeated(archive: Path, empty: Path) -> None:
    """Killed in the middle of writing: nothing of it counts, and `remove --unfinished` deletes it."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom core.packs import unpack as u\nfrom core.store import Store\n"
        "real = u.read_files\n"
        "def slow(*given):\n"
        "    for n, entry in enumerate(real(*given)):\n"
        "        if n == 9:\n"
        "            print('half', flush=True); time.sleep(60)\n"
        "        yield entry\n"
        f"u.read_files = slow\nu.unpack(Path({str(archive)!r}), Store(Path({str(empty)!r})))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "half\n"
    assert cli("remove", "--unfinished").exit_code == 0
    assert list(empty.glob(f"{UNPACKING}*")), "somebody works in it"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert open_runs(empty) == []
    checked = json.loads(cli("verify", "--json").stdout)
    assert checked["broken"] == [] and "interrupted unpack" in checked["notes"][0]["what"]
    assert cli("remove", "--unfinished").exit_code == 0 and not list(empty.glob(f"{UNPACKING}*"))
    assert unpack(archive, Store(empty)).run.name == "golden"


def test_a_disk_without_room(archive: Path, tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    place = small_disk(160 * 1024)
    with pytest.raises(UserError, match="not enough space on the disk"):
        unpack(archive, Store(place / "cache"))
    assert [path for path in place.rglob("*") if path.is_file()] == []


def test_a_cache_that_cannot_be_written(archive: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core import disk

    monkeypatch.setattr(disk, "is_writable", lambda path: False)
    assert "nothing can be written into the cache" in one_line(cli("unpack", archive))


@pytest.mark.parametrize("where", ["cache/a.lens", "cache", "folder", "text", "link"])
def test_no_archive_into_the_cache_or_over_other_things(root: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("thesis")
    (tmp_path / "link").symlink_to(tmp_path / "text")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert "cannot pack" in one_line(cli("pack", "golden", "--out", tmp_path / where))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_broken_run_is_not_packed(root: Path, tmp_path: Path) -> None:
    flip(next(root.glob("encode/*/*.npy")))
    one_line(cli("pack", "golden", "--out", tmp_path / "a.lens"))
    next(root.glob("codes/*/manifest.json")).unlink()
    one_line(cli("pack", "golden", "--out", tmp_path / "a.lens"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def _other(store: Store, name: str) -> Run:
    """A run on the same embeddings, with other settings."""
    from core import pipeline
    from core.config import CorpusSpec, ModelSpec, RunSpec, SaeSpec
    from tests.golden import make

    corpus = CorpusSpec(source="embeddings", path=str(make.EMBEDDINGS))
    return pipeline.run(
        RunSpec(name=name, corpus=corpus, model=ModelSpec(name="own-embeddings"), sae=SaeSpec(source="none")), store
    )


def _perturb(root: Path) -> None:
    """Another build of the same embeddings and codes: keys as they were, one number moved, manifests that fit."""
    from core.artefact import origins_of
    from core.fingerprint import hash_file
    from core.manifest import MANIFEST, as_text, sealed

    store = Store(root)
    folder = store.folders("encode")[0]
    name = next(iter(folder.manifest["files"]))
    rows = np.load(folder.path / name)
    rows[0, 0] += 1e-3
    np.save(folder.path / name, rows)
    files = folder.manifest["files"] | {
        name: folder.manifest["files"][name] | {"sha256": hash_file(folder.path / name)}
    }
    (folder.path / MANIFEST).write_text(as_text(sealed(folder.manifest | {"files": files})))
    run = store.folders("run")[0]
    parents = [found for stage in ("corpus", "encode", "sae", "codes") for found in store.folders(stage)]
    (run.path / MANIFEST).write_text(as_text(sealed(run.manifest | {"origins": origins_of(parents)})))


# -- a run of pictures and a model -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run of 18 pictures with captions through a tiny chat model, and the folder that holds both."""
    from core import pipeline
    from core.config import load_spec
    from tests.torture.tiny import prepare

    folder = tmp_path_factory.mktemp("made")
    specs = prepare(folder)
    return pipeline.run(load_spec(specs["model"]), Store(folder / "cache")), folder


@pytest.fixture
def gone(made: tuple[Run, Path]) -> Callable[[], None]:
    """Call it to take pictures and model away, as on another machine; the next test has them again."""
    places = [made[1] / name for name in ("photos", "model")]

    def take() -> None:
        for place in places:
            place.rename(place.with_name(f"{place.name}-away"))

    yield take  # type: ignore[misc]
    for place in places:
        if not place.exists():
            place.with_name(f"{place.name}-away").rename(place)


def taken(made: tuple[Run, Path], out: Path, **more: bool) -> tuple[Packed, Store]:
    packed = pack(made[0], out / "model.lens", **more)
    return packed, Store(out / "elsewhere")


def test_pictures_and_model_go_along(made: tuple[Run, Path], tmp_path: Path, gone: Callable[[], None]) -> None:
    from core.questions import live

    run = made[0]
    item = run.corpus.items("queries").item(3)
    before = live.embed(run, live.stored_item(run, "queries", 3))
    packed, store = taken(made, tmp_path, model=True)
    assert packed.pictures and packed.model
    gone()
    there = unpack(tmp_path / "model.lens", store).run
    np.testing.assert_array_equal(there.corpus.items("queries").item(3).image, item.image)
    from core import run as opened

    opened._ADAPTERS = type(opened._ADAPTERS)()  # else the model of this process is taken from memory
    np.testing.assert_allclose(live.embed(there, live.stored_item(there, "queries", 3)), before, atol=1e-5)
    assert there.no_model() is None
    pack(there, tmp_path / "again.lens", model=True)
    assert (tmp_path / "again.lens").read_bytes() == (tmp_path / "model.lens").read_bytes()
    assert not pack(there, tmp_path / "less.lens", thumbnails=True).model


def test_without_its_model_a_run_says_in_one_line_what_it_cannot_do(
    made: tuple[Run, Path], tmp_path: Path, gone: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, store = taken(made, tmp_path, thumbnails=True)
    assert not packed.pictures and not packed.model
    # The paths that the archive names may hold something on this machine: it is not looked at.
    there = unpack(tmp_path / "model.lens", store).run
    gone()
    with pytest.raises(NotAvailable, match="no typed queries, no Playground"):
        there.adapter()
    with pytest.raises(UserError, match="left out when this run was packed"):
        there.corpus.items("queries").item(0)
    assert there.corpus.items("queries").thumbnail(0) is not None
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(store.root))
    result = cli("unpack", tmp_path / "model.lens")
    assert result.exit_code == 0 and "no Playground" in result.stderr and len(result.stderr.splitlines()) == 1
    assert json.loads(cli("evaluate", "model", "--json").stdout)["recall"]


def test_paths_of_an_archive_are_not_followed_here(made: tuple[Run, Path], tmp_path: Path) -> None:
    """Pictures and model are where the archive says, on this very machine: its word is not taken for it."""
    _, store = taken(made, tmp_path, thumbnails=True)
    there = unpack(tmp_path / "model.lens", store).run
    with pytest.raises(UserError):
        there.corpus.items("queries").item(0)
    with pytest.raises(NotAvailable):
        there.adapter()


def test_what_is_gone_or_another_is_not_packed(
    made: tuple[Run, Path], tmp_path: Path, gone: Callable[[], None]
) -> None:
    run, folder = made
    config = folder / "model" / "config.json"
    text = config.read_text()
    config.write_text(text.replace("{", "{ ", 1))
    try:
        with pytest.raises(UserError, match="another one"):
            pack(run, tmp_path / "a.lens", model=True)
    finally:
        config.write_text(text)
    gone()
    with pytest.raises(UserError, match="cannot be read again"):
        pack(run, tmp_path / "a.lens")
    with pytest.raises(UserError):
        pack(run, tmp_path / "a.lens", thumbnails=True, model=True)
    assert list(tmp_path.iterdir()) == []
    assert pack(run, tmp_path / "a.lens", thumbnails=True).files


def test_token_states_stay(made: tuple[Run, Path], tmp_path: Path) -> None:
    assert made[0].store.folders("states"), "the run has kept some"
    taken(made, tmp_path)
    with open(tmp_path / "model.lens", "rb") as stream:
        index = read_index(stream, (tmp_path / "model.lens").stat().st_size)
    assert "states" not in {stage for stage, _, _ in index.folders}
    with tarfile.open(tmp_path / "model.lens") as tar:
        assert not [name for name in tar.getnames() if name.endswith((".py", ".bin"))]
