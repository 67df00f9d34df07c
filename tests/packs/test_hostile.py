"""Archives that must not be unpacked: one line, exit 1, and the cache as it was."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.artefact import origins_of
from core.fingerprint import hash_file
from core.manifest import MANIFEST, as_text, sealed
from core.packs.archive import LARGEST_FILE, MOST_FILES
from tests.packs.conftest import Members, changed, forged, index_of, listed, member, members
from tests.store.conftest import cli, one_line

Change = Callable[[dict[str, Any], Members], None]


def refused(path: Path, root: Path) -> str:
    """The line of a refusal, after a look at the cache: empty as before, nothing beside it."""
    beside = sorted(root.parent.iterdir())
    line = one_line(cli("unpack", path))
    assert list(root.iterdir()) == [] and sorted(root.parent.iterdir()) == beside
    return line


def appended(name: str, data: bytes = b"x", **more: Any) -> Change:
    """One member more, listed in the index."""

    def change(index: dict[str, Any], content: Members) -> None:
        index["files"].append(listed(name, data))
        content.append(member(name, data, **more))

    return change


def replaced(**more: Any) -> Change:
    """The last member as something else, its line in the index as it was."""

    def change(index: dict[str, Any], content: Members) -> None:
        content[-1] = member(content[-1][0].name, content[-1][1], **more)

    return change


def first(content: Members, stage: str) -> str:
    """Folder of the first member of a stage."""
    return next(info.name for info, _ in content if info.name.startswith(f"{stage}/")).rsplit("/", 1)[0]


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "run/../../../evil",
        "/etc/evil",
        "run/0123456789abcdef/../../evil",
        "run/0123456789abcdef/.hidden",
        "run/0123456789abcdef//evil",
        "run\\0123456789abcdef\\evil",
        "run/0123456789abcdef/a\x00b",
        "run/0123456789abcdef/a\nb",
        "elsewhere/0123456789abcdef/evil",
        "run/0123456789ABCDEF/evil",
        "C:/evil",
        "run/0123456789abcdef/a/b/c/d/e",
        ".unpack--x/evil",
        "weights.json",
    ],
)
def test_a_name_that_leads_elsewhere(archive: Path, empty: Path, tmp_path: Path, name: str) -> None:
    path = changed(archive, tmp_path / "bad", appended(name))
    assert "a file called" in refused(path, empty)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.FIFOTYPE, "a FIFO"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.DIRTYPE, "a folder"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (tarfile.XHDTYPE, "a member of type"),
        (tarfile.GNUTYPE_LONGNAME, "a member of type"),
    ],
)
def test_a_member_that_is_no_file(archive: Path, empty: Path, tmp_path: Path, kind: bytes, what: str) -> None:
    path = changed(archive, tmp_path / "bad", replaced(type=kind, linkname="/etc/passwd"))
    assert what in refused(path, empty)


@pytest.mark.parametrize("more", [{"mode": 0o4755}, {"uid": 0, "gid": 5}, {"mtime": 1}, {"name": "run/evil"}])
def test_a_header_that_is_not_ours(archive: Path, empty: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    assert "where" in refused(changed(archive, tmp_path / "bad", replaced(**more)), empty)


def test_a_bomb_that_declares_its_size(archive: Path, empty: Path, tmp_path: Path) -> None:
    """The index and the header say 2**40 bytes; the archive has none of them."""

    def change(index: dict[str, Any], content: Members) -> None:
        index["files"][-1][1] = 2**40
        content[-1][0].size = 2**40

    assert "were packed" in refused(changed(archive, tmp_path / "bad", change), empty)


def test_a_bomb_that_does_not_declare_its_size(archive: Path, empty: Path, tmp_path: Path) -> None:
    """The index says a little, the header of the member much."""

    def change(index: dict[str, Any], content: Members) -> None:
        content[-1][0].size = 2**40

    assert "of 1,099,511,627,776 bytes where" in refused(changed(archive, tmp_path / "bad", change), empty)


def test_a_compressed_archive_is_not_read(archive: Path, empty: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb"
    with gzip.open(bomb, "wb", compresslevel=1) as stream:
        stream.write(archive.read_bytes() + bytes(2**24))
    assert "nothing that is compressed" in refused(bomb, empty)


@pytest.mark.parametrize("size", [-1, LARGEST_FILE + 1, 10**30, 1.5, True, "1", None])
def test_a_size_that_is_none(archive: Path, empty: Path, tmp_path: Path, size: object) -> None:
    def change(index: dict[str, Any], content: Members) -> None:
        index["files"][-1][1] = size

    refused(changed(archive, tmp_path / "bad", change), empty)


def test_too_many_files(archive: Path, empty: Path, tmp_path: Path) -> None:
    def change(index: dict[str, Any], content: Members) -> None:
        index["files"] += [listed(f"run/{index['key']}/f{i}", b"") for i in range(MOST_FILES)]

    assert "at most 100,000" in refused(changed(archive, tmp_path / "bad", change), empty)


def test_more_than_the_disk_has_room_for(archive: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core import disk

    monkeypatch.setattr(disk, "free", lambda path: 100_000)
    assert "not enough space on the disk" in refused(archive, empty)


def test_one_flipped_bit_anywhere(archive: Path, empty: Path, tmp_path: Path) -> None:
    """Headers, contents, fillings, the index and the end: 150 places, the seed fixed."""
    whole, draw = archive.read_bytes(), random.Random(0)
    places = [draw.randrange(len(whole)) for _ in range(140)] + [0, 150, 700, len(whole) - 1, len(whole) - 1000]
    from core.errors import UserError
    from core.packs.unpack import unpack
    from core.store import Store

    for at in places:
        bad = bytearray(whole)
        bad[at] ^= 1 << draw.randrange(8)
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(UserError):
            unpack(tmp_path / "bad", Store(empty))
        assert list(empty.iterdir()) == [], at


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.3, 0.9, 0.9999])
def test_a_cut_archive(archive: Path, empty: Path, tmp_path: Path, share: float) -> None:
    whole = archive.read_bytes()
    (tmp_path / "bad").write_bytes(whole[: int(share * len(whole))])
    refused(tmp_path / "bad", empty)


def test_something_behind_the_end(archive: Path, empty: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(archive.read_bytes() + b"x")
    assert "were packed" in refused(tmp_path / "bad", empty)


def test_a_member_twice(archive: Path, empty: Path, tmp_path: Path) -> None:
    def twice(index: dict[str, Any], content: Members) -> None:
        index["files"].append(index["files"][-1])
        content.append(content[-1])

    assert "twice" in refused(changed(archive, tmp_path / "bad", twice), empty)

    def by_case(index: dict[str, Any], content: Members) -> None:
        appended(index["files"][-1][0].upper().replace("SAE/", "sae/"))(index, content)

    assert "file called" in refused(changed(archive, tmp_path / "bad", by_case), empty)


def test_upper_and_lower_case_are_one_name(archive: Path, empty: Path, tmp_path: Path) -> None:
    def change(index: dict[str, Any], content: Members) -> None:
        appended(f"{first(content, 'run')}/MANIFEST.json")(index, content)

    assert "twice" in refused(changed(archive, tmp_path / "bad", change), empty)


def test_a_file_below_a_file(archive: Path, empty: Path, tmp_path: Path) -> None:
    def change(index: dict[str, Any], content: Members) -> None:
        appended(f"{first(content, 'run')}/manifest.json/x")(index, content)

    assert "a file and a folder" in refused(changed(archive, tmp_path / "bad", change), empty)


def test_a_foreign_file_in_a_folder(archive: Path, empty: Path, tmp_path: Path) -> None:
    def change(index: dict[str, Any], content: Members) -> None:
        appended(f"{first(content, 'sae')}/evil.py", b"import os")(index, content)

    assert "not in its manifest" in refused(changed(archive, tmp_path / "bad", change), empty)


def test_a_file_of_no_folder(archive: Path, empty: Path, tmp_path: Path) -> None:
    assert "of no folder" in refused(changed(archive, tmp_path / "bad", appended("run/0123456789abcdef/x")), empty)


def test_a_folder_of_another_run(archive: Path, empty: Path, tmp_path: Path) -> None:
    """A folder that is whole and fits its sums, and is no part of the run."""
    from core.store import Store

    aside = Store(tmp_path / "aside")
    extra = aside.build("encode", "foreign", {"own": "x"}, (), lambda draft: (draft.path / "a.json").write_text("{}"))

    def change(index: dict[str, Any], content: Members) -> None:
        index["folders"].append(["encode", extra.key, "foreign"])
        for path in sorted(extra.path.iterdir()):
            appended(f"encode/{extra.key}/{path.name}", path.read_bytes())(index, content)

    assert "no part of the run" in refused(changed(archive, tmp_path / "bad", change), empty)


@pytest.mark.parametrize("stage", ["corpus", "encode", "sae", "codes", "run", "carried"])
def test_a_folder_that_is_missing(archive: Path, empty: Path, tmp_path: Path, stage: str) -> None:
    def change(index: dict[str, Any], content: Members) -> None:
        gone = first(content, stage)
        index["folders"] = [f for f in index["folders"] if f"{f[0]}/{f[1]}" != gone]
        index["files"] = [f for f in index["files"] if not f[0].startswith(f"{gone}/")]
        content[:] = [(m, data) for m, data in content if not m.name.startswith(f"{gone}/")]

    refused(changed(archive, tmp_path / "bad", change), empty)


def test_a_manifest_of_other_numbers(archive: Path, empty: Path, tmp_path: Path) -> None:
    """The data exchanged and the archive's own sums made again: the manifest knows."""

    def change(index: dict[str, Any], content: Members) -> None:
        at = next(i for i, (m, _) in enumerate(content) if m.name.endswith("dictionary.npy"))
        data = content[at][1][:-4] + b"\0\0\0\0"
        index["files"][at] = listed(content[at][0].name, data)
        content[at] = member(content[at][0].name, data)

    assert "not in its manifest" in refused(changed(archive, tmp_path / "bad", change), empty)


@pytest.mark.parametrize(("field", "value"), [("run", "other"), ("key", "0" * 16), ("run", "\x1b[31mred"), ("run", 7)])
def test_an_index_that_names_another_run(archive: Path, empty: Path, tmp_path: Path, field: str, value: object) -> None:
    line = refused(changed(archive, tmp_path / "bad", lambda index, _: index.update({field: value})), empty)
    assert "\x1b" not in line


@pytest.mark.parametrize("slug", ["../up", "Up", "", ".work", "a/b", "a--b/..", "x" * 61])
def test_a_folder_of_another_name(archive: Path, empty: Path, tmp_path: Path, slug: str) -> None:
    def change(index: dict[str, Any], content: Members) -> None:
        index["folders"][0][2] = slug

    assert "without a name" in refused(changed(archive, tmp_path / "bad", change), empty)


def test_an_archive_of_a_later_release(archive: Path, empty: Path, tmp_path: Path) -> None:
    line = refused(changed(archive, tmp_path / "bad", lambda index, _: index.update(version=2)), empty)
    assert "a later release packed this archive" in line


@pytest.mark.parametrize("index", [{}, {"format": "x"}, {"format": "retrieval-lens run", "version": "1"}])
def test_an_index_that_is_none(empty: Path, tmp_path: Path, index: dict[str, Any]) -> None:
    refused(forged(tmp_path / "bad", index, []), empty)


def test_other_archives_and_no_files(empty: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "void").write_bytes(b"")
    (tmp_path / "zeros").write_bytes(bytes(10_240))
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        tar.add(tmp_path / "text", "pack.json")
    shutil.make_archive(str(tmp_path / "zip"), "zip", tmp_path, "text")
    os.mkfifo(tmp_path / "fifo")
    for name in ("text", "void", "zeros", "plain.tar", "zip.zip", "fifo", "elsewhere", "missing"):
        assert "cannot be unpacked" in refused(tmp_path / name, empty)


def test_parts_that_are_not_those_of_a_run_though_all_sums_fit(root: Path, empty: Path, tmp_path: Path) -> None:
    """Whoever makes an archive makes its sums: a corpus that says nothing of its parts, and one row less."""
    import numpy as np

    from core.packs.pack import pack
    from core.run import open_run
    from core.store import Store

    def packed(stage: str, facts: dict[str, Any] | None, rows: int | None) -> Path:
        store = Store(tmp_path / f"{stage}-cache")
        shutil.copytree(root, store.root)
        folder = store.folders(stage)[0]
        manifest = dict(folder.manifest) | ({} if facts is None else {"facts": facts})
        if rows is not None:
            name = next(iter(manifest["files"]))
            np.save(folder.path / name, np.load(folder.path / name)[:rows])
            path = folder.path / name
            entry = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
            manifest["files"] = manifest["files"] | {name: manifest["files"][name] | entry}
        (folder.path / MANIFEST).write_text(as_text(sealed(manifest)))
        run = store.folders("run")[0]
        parents = [found for s in ("corpus", "encode", "sae", "codes") for found in store.folders(s)]
        (run.path / MANIFEST).write_text(as_text(sealed(run.manifest | {"origins": origins_of(parents)})))
        for answer in store.folders("answer"):
            store.remove(answer)
        pack(open_run("golden", store), tmp_path / f"{stage}.lens", thumbnails=True)
        shutil.rmtree(store.root)
        return tmp_path / f"{stage}.lens"

    assert "cannot be opened" in refused(packed("corpus", {}, None), empty)
    assert "items and arrays of" in refused(packed("encode", None, 7), empty)


def test_code_in_the_place_of_a_model(archive: Path, empty: Path, tmp_path: Path) -> None:
    def change(index: dict[str, Any], content: Members) -> None:
        appended(f"{first(content, 'carried')}/model/modeling.py", b"import os")(index, content)

    assert "no file of a model" in refused(changed(archive, tmp_path / "bad", change), empty)


def test_what_is_forged_without_a_change_is_unpacked(archive: Path, empty: Path, tmp_path: Path) -> None:
    """Else every test above would pass for a fault of its own."""
    path = changed(archive, tmp_path / "good", lambda index, content: None)
    assert path.read_bytes() == archive.read_bytes()
    assert cli("unpack", path).exit_code == 0
    assert len(members(path)) == len(index_of(path)["files"])
