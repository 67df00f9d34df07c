"""Free memory: of the system, or what the limit of a container leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import machine
from core.machine import GIB

MIB = 2**20


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_the_tightest_limit_above_a_group_counts_and_idle_file_pages_are_free(tmp_path: Path) -> None:
    groups, root = tmp_path / "cgroup", tmp_path / "fs"
    groups.write_text("0::/a/b\n")
    write(root / "a" / "b", memory__max="max", memory__current=5, memory__stat="anon 5")
    write(root / "a", memory__max=GIB, memory__current=700 * MIB, memory__stat=f"anon 1\ninactive_file {200 * MIB}")
    assert machine._free_of_container(groups, root) == GIB - 500 * MIB
    write(root / "a" / "b", memory__max=300 * MIB, memory__current=400 * MIB, memory__stat="anon 5")
    assert machine._free_of_container(groups, root) == 0


def test_a_limit_of_version_1_counts_too_and_its_largest_number_is_none(tmp_path: Path) -> None:
    groups, root = tmp_path / "cgroup", tmp_path / "fs"
    groups.write_text("5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n")
    v1 = {"memory__usage_in_bytes": 100 * MIB, "memory__stat": f"inactive_file 1\ntotal_inactive_file {30 * MIB}"}
    write(root / "memory" / "x", memory__limit_in_bytes=9223372036854771712, **v1)
    assert machine._free_of_container(groups, root) == float("inf")
    write(root / "memory" / "x", memory__limit_in_bytes=GIB, **v1)
    assert machine._free_of_container(groups, root) == GIB - 70 * MIB


def test_a_container_that_sees_its_own_group_as_the_root_is_bounded(tmp_path: Path) -> None:
    groups, root = tmp_path / "cgroup", tmp_path / "fs"
    groups.write_text("0::/docker/0123\n")  # this folder is not there inside
    write(root, memory__max=GIB, memory__current=0, memory__stat="inactive_file 0")
    assert machine._free_of_container(groups, root) == GIB


def test_without_control_groups_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine._free_of_container(tmp_path / "none", tmp_path) == float("inf")
    monkeypatch.setattr(machine, "_free_of_container", lambda: 7.0)
    assert machine.free_memory() == 7.0
