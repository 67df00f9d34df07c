"""Tables on the command line: nothing is lost however narrow the line, and JSON stays strict."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from core.commands import output
from core.commands.output import emit, say, show_table

WIDE = pd.DataFrame(
    {
        "run": ["a", "a", "b"],
        "model": ["m", "m", "n"],
        "step": ["x", "y", "x"],
        "where": ["a long text that would not fit into a cell of a table", "", "short"],
        **{f"measure {n}": [n + 0.25, float("nan"), 10.0 * n] for n in range(12)},
    }
)


def test_a_wide_table_comes_in_blocks_that_each_name_their_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(output, "NO_TERMINAL", 80)
    show_table(WIDE, "title")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    heads = [line for line in lines if line.startswith("┃")]
    assert len(heads) > 1
    assert all(head.split("┃")[1:3] == heads[0].split("┃")[1:3] for head in heads)
    shown = [name.strip() for head in heads for name in head.split("┃")[1:-1]]
    assert set(shown) == set(WIDE.columns)
    assert lines[-2:] == ["[1] a long text that would not fit into a cell of a table", "[2] short"]


def test_a_table_that_fits_is_one_table(capsys: pytest.CaptureFixture) -> None:
    show_table(WIDE[["run", "step", "where"]])
    out = capsys.readouterr().out
    assert out.count("┃ run") == 1
    assert "a long text that would not fit into a cell of a table" in out


def test_names_are_what_tells_rows_apart() -> None:
    assert output._naming(WIDE.map(str)) == ["run", "step"]


def test_json_is_strict(capsys: pytest.CaptureFixture) -> None:
    emit({"a": float("nan"), "b": [float("inf"), 1.5], 3: None})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "3": None}


HOSTILE = "a\x1b[31mred\x07\x9b2J\u202egnp.[bold]\ud800"


def test_control_characters_of_others_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    from core.progress import RichProgress

    # As objects: a table of Arrow strings cannot hold half a pair of surrogates.
    columns = pd.Index([HOSTILE], dtype=object)
    show_table(pd.DataFrame([[HOSTILE], ["b" * 40]], columns=columns, dtype=object), HOSTILE)
    say(f"{HOSTILE}\nsecond line")
    emit({HOSTILE: HOSTILE})
    progress = RichProgress()
    with progress.task(HOSTILE, 1) as bar:
        bar.note(HOSTILE)
    progress.say(HOSTILE)
    written = capsys.readouterr()
    for text in (written.out, written.err):
        assert r"\x1b[31mred\x07\x9b2J\u202egnp.[bold]\ud800"[:12] in text
        assert not any(c in text for c in "\x1b\x07\x9b\u202e\ud800")
    answer = next(line for line in written.out.splitlines() if line.startswith("{"))
    assert json.loads(answer) == {HOSTILE: HOSTILE}
