"""`retrieval-lens check` through the command line: exit codes, JSON, words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core.store import Store


@pytest.fixture
def vectors(small_store: Store, tmp_path: Path) -> Path:
    """Queries of `small-clip`, as they are."""
    from core.run import open_run

    np.save(tmp_path / "queries.npy", open_run("small-clip", small_store).embeddings("queries"))
    return tmp_path


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    from core.commands.cli import app

    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_equal_is_exit_0(vectors: Path) -> None:
    code, out, _ = invoke("small-clip", "--vectors", vectors, "--sample", "8", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["equal"] is True
    assert answer["explained_by"] == []
    assert list(answer)[:5] == ["equal", "max_difference", "explained_by", "recall_reference", "recall_given"]
    assert answer["n"] == 8


def test_a_difference_is_exit_1_and_is_named(vectors: Path) -> None:
    rows = np.load(vectors / "queries.npy")
    np.save(vectors / "queries.npy", rows[:, :32])
    code, out, _ = invoke("small-clip", "--vectors", vectors, "--sample", "8", "--json")
    assert code == 1
    assert json.loads(out)["explained_by"] == [{"setting": "truncated dimensions", "from": "128", "to": "the first 32"}]
    code, out, _ = invoke("small-clip", "--vectors", vectors, "--sample", "8")
    assert code == 1
    assert "Not equal: truncated dimensions." in out
    assert "128 -> the first 32" in out
    assert "recall@1:" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "what is to be checked?; got neither"),
        (["--vectors", ".", "--endpoint", "http://localhost"], "what is to be checked?; got both"),
        (["--vectors", "no-such-folder"], "no such folder of vectors"),
        (["--endpoint", "nowhere"], "this is no address of an endpoint"),
        (["--endpoint", "http://127.0.0.1:9"], "cannot be reached"),
        (["--vectors", "VECTORS", "--sample", "1"], "the sample is too small"),
        (["--vectors", "VECTORS", "--tolerance", "-1"], "this is no tolerance"),
        (["--vectors", "VECTORS", "--dialect", "soap"], "soap"),
    ],
)
def test_bad_input_is_exit_2_in_one_line(arguments: list[str], words: str, vectors: Path) -> None:
    code, out, err = invoke("small-clip", *[str(vectors) if one == "VECTORS" else one for one in arguments])
    assert code == 2
    assert words in err
    assert out == ""


def test_no_such_run_is_exit_2(small_store: Store, tmp_path: Path) -> None:
    code, _, err = invoke("nobody", "--vectors", tmp_path)
    assert code == 2
    assert "no such run" in err
