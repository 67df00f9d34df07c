"""How every hostile or broken input ends: its exit code, one line for the user, nothing that a terminal would obey.

0 done, 1 the input is at fault, 2 usage, 3 a fault of ours, which no case here may reach.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hostile import CASES, Case
from typer.testing import CliRunner

from core.commands.cli import app

COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that a terminal obeys instead of showing them; line breaks and tabs apart."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_exit_code(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name, value in ({"RETRIEVAL_LENS_CACHE": "{at}/cache"} | case.environment).items():
        monkeypatch.setenv(name, value.replace("{at}", str(tmp_path)))
    words = [os.fspath(word) if isinstance(word, Path) else str(word) for word in case.make(tmp_path)]
    result = CliRunner().invoke(app, words)
    output = result.output
    assert result.exit_code == case.code, output
    assert [part for part in case.says if part not in output] == []
    assert "Traceback" not in output and "weights_only" not in output
    assert COMMANDS.findall(output) == []
    assert not (tmp_path / "code-was-run").exists()
    if case.code == 1:
        lines = [line for line in result.stderr.splitlines() if line.startswith("retrieval-lens: ")]
        assert len(lines) == 1, result.stderr
        assert result.stderr.splitlines()[-1] == lines[0], "the message is one line, and the last"
