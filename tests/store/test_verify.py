"""`verify` goes over what is on disk and what runs need, and says which command mends it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from core.fingerprint import STAGES
from core.store import MANIFEST, Store
from tests.store.conftest import ask, cli, flip, one_line

Damage = Callable[[Path], None]
DAMAGES: dict[str, Damage] = {
    "100 bytes shorter": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "one bit": flip,
}
STORED = set(STAGES) - {"variant", "states", "captions", "carried", "mteb"}
"""Stages of the golden run: it has no model, was made here, and is no task of mteb."""
VICTIMS = ("corpus/*/queries.parquet", "encode/*/*.npy", "sae/*/dictionary.npy", "codes/*/data.npy", "answer/*/*.npy")


def files(root: Path) -> list[Path]:
    """Every file of the cache's folders, manifests too."""
    return sorted(p for p in root.rglob("*") if p.is_file() and "--" in p.parent.name)


def test_a_whole_cache_is_whole(root: Path) -> None:
    assert {path.parent.parent.name for path in files(root)} == STORED
    found = json.loads(cli("verify", "--json").stdout)
    assert found["broken"] == found["notes"] == [] and found["files"] == len(files(root))
    assert cli("verify", "golden").exit_code == 0


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", VICTIMS)
def test_whatever_is_missing_or_changed_is_named(root: Path, pattern: str, damage: str) -> None:
    victim = sorted(root.glob(pattern))[0]
    DAMAGES[damage](victim)
    result = cli("verify")
    line = one_line(result)
    assert victim.parent.name in result.stdout and victim.name in result.stdout
    assert "retrieval-lens verify --repair" in line
    assert ("retrieval-lens run golden" in line) is (not pattern.startswith("answer"))
    if not pattern.startswith("answer"):
        assert cli("verify", "golden").exit_code == 1


@pytest.mark.parametrize("stage", ["corpus", "encode", "sae", "codes"])
def test_a_folder_that_a_run_needs_and_is_gone_is_named(root: Path, stage: str) -> None:
    victim = sorted((root / stage).iterdir())[0]
    shutil.rmtree(victim)
    line = one_line(cli("verify"))
    assert "retrieval-lens run golden" in line
    found = json.loads(cli("verify", "--json").stdout)["broken"]
    assert [(row["stage"], row["folder"]) for row in found] == [(stage, f"*--{victim.name.rpartition('--')[2]}")]


def test_what_merely_lies_about_is_named_and_no_fault(root: Path) -> None:
    (root / "encode" / ".work--0123456789abcdef.lock").touch()
    (root / "sae" / ".work--0123456789abcdef").mkdir()
    (root / "notes.txt").write_text("mine")
    (root / "codes" / "holiday photos").mkdir()
    extra = next((root / "run").iterdir()) / "sneaked-in.npy"
    extra.write_bytes(b"x")
    (root / "answer" / "evil\x1b[31m\nname").mkdir()
    result = cli("verify")
    assert result.exit_code == 0, result.output
    for name in (".work--0123456789abcdef.lock", "sae/.work--", "notes.txt", "holiday photos", "sneaked-in.npy"):
        assert name in result.stdout
    assert "\x1b" not in result.stdout and "evil\\x1b[31m\\nname" in result.stdout


@pytest.mark.parametrize("pattern", [*VICTIMS, f"encode/*/{MANIFEST}", f"codes/*/{MANIFEST}", f"sae/*/{MANIFEST}"])
def test_repair_sets_aside_and_names_what_to_repeat(root: Path, run_again: Callable[[], Result], pattern: str) -> None:
    before = ask(root)
    victim = sorted(root.glob(pattern))[0]
    flip(victim, at=victim.stat().st_size // 2)
    result = cli("verify", "--repair")
    if pattern.startswith("answer"):
        assert result.exit_code == 0, result.output  # it is computed again when somebody asks
    else:
        assert "retrieval-lens run golden" in one_line(result)
        assert cli("verify").exit_code == 1  # the run lacks something
        assert cli("run", "golden").exit_code == 0
    assert f"set aside: {victim.parent.parent.name}/{victim.parent.name}" in result.stdout
    assert (victim.parent.parent / f".broken--{victim.parent.name}").is_dir()
    assert ask(root) == before and cli("verify").exit_code == 0
    assert cli("remove", "--unfinished").exit_code == 0 and not list(root.rglob(".broken--*"))


def test_a_run_whose_own_manifest_is_broken_is_made_again_from_its_spec_file(
    root: Path, run_again: Callable[[], Result]
) -> None:
    before = ask(root)
    manifest = next((root / "run").glob(f"*/{MANIFEST}"))
    manifest.write_text("{")
    assert "spec file of golden" in one_line(cli("verify", "--repair"))
    assert run_again().exit_code == 0
    assert ask(root) == before and cli("verify").exit_code == 0


@pytest.mark.parametrize("stage", sorted(STORED))
def test_every_byte_of_a_manifest_counts(root: Path, stage: str) -> None:
    """Every hundredth byte of a manifest, each with another bit: named by `verify`, and the run is not opened on it."""
    manifest = sorted((root / stage).glob(f"*/{MANIFEST}"))[0]
    whole, missed = manifest.read_bytes(), []
    for at in range(0, len(whole), 97):
        flip(manifest, at, bit=1 << at % 8)
        (found,) = [one for one in Store(root).entries(stage) if one.path == manifest.parent]
        if not hasattr(found, "why"):
            missed.append(at)
        manifest.write_bytes(whole)
    assert missed == []
    assert cli("verify").exit_code == 0


def test_a_changed_setting_of_a_dictionary_is_not_printed_as_truth(root: Path) -> None:
    manifest = next((root / "sae").glob(f"*/{MANIFEST}"))
    content = json.loads(manifest.read_text())
    content["facts"]["k"], content["facts"]["trained_on"] = 7, "everything there is"
    manifest.write_text(json.dumps(content, indent=1))
    for words in (("show", "golden"), ("concepts", "golden"), ("evaluate", "golden", "--remove-top", "0.1")):
        result = cli(*words)
        assert "everything there is" not in result.output
        assert "retrieval-lens verify --repair" in one_line(result)


def test_a_parent_that_became_another_is_noticed(root: Path) -> None:
    """A manifest whose sums are right, but which is not the one the run was made from."""
    from core.manifest import as_text, sealed

    manifest = next((root / "sae").glob(f"*/{MANIFEST}"))
    content = json.loads(manifest.read_text())
    content["facts"]["trained_on"] = "everything there is"
    manifest.write_text(as_text(sealed(content)))
    assert "made from another" in one_line(cli("show", "golden"))
    assert "made again with other numbers" in cli("verify").stdout
    assert cli("run", "golden").exit_code == 0  # the run is written again, on what is there now
    assert cli("show", "golden").exit_code == 0 and cli("verify").exit_code == 0


def test_an_identical_rebuild_is_the_same_parent(root: Path, run_again: Callable[[], Result]) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob(MANIFEST)}
    for stage in ("corpus", "encode", "sae", "codes"):
        shutil.rmtree(root / stage)
    assert run_again().exit_code == 0
    for path in root.rglob(MANIFEST):
        assert (path.stat().st_mtime_ns == before[path]) is (path.parts[-3] in ("run", "answer"))
    assert cli("verify").exit_code == 0


def test_a_folder_of_a_later_release_is_left_alone(root: Path) -> None:
    manifest = sorted((root / "answer").glob(f"*/{MANIFEST}"))[0]
    later = manifest.read_text().replace(f'"answer@{STAGES["answer"]}"', '"answer@99"')
    manifest.write_text(later)
    result = cli("verify", "--repair")
    assert result.exit_code == 0 and "a later release made it (answer@99" in result.stdout
    assert manifest.read_text() == later


def test_remembered_hashes_of_weights_are_not_believed_when_they_changed(tmp_path: Path) -> None:
    from core.fingerprint import hash_folder

    folder, memo = tmp_path / "weights", tmp_path / "cache" / "weights.json"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"weights")
    true = hash_folder(folder, memo)
    whole = memo.read_text()
    for at, sign in enumerate(whole):
        memo.write_text(whole[:at] + ("0" if sign != "0" else "1") + whole[at + 1 :])
        assert hash_folder(folder, memo) == true, at
    for content in ("", "[]", "{", '{"files": 3}'):
        memo.write_text(content)
        assert hash_folder(folder, memo) == true
