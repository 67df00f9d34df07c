"""A new user's way: photographs and captions, the commands that README prints, a failing query explained."""

from __future__ import annotations

import os
import re
import resource
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dashboard_driver import Tab, wait_for

README = Path(__file__).parents[2] / "README.md"
MOST_CPU_SECONDS = 600
"""Ten minutes of one core, of everything the commands start; two cores have twice as much in that time."""


def printed() -> list[list[str]]:
    """The commands of "Your own data", word by word."""
    section = README.read_text(encoding="utf-8").partition("## Your own data")[2]
    block = re.search(r"```sh\n(.*?)```", section, flags=re.S)
    assert block is not None
    commands = [shlex.split(line, comments=True) for line in block[1].splitlines()]
    assert [words[:2] for words in commands] == [["retrieval-lens", "new"], ["retrieval-lens", "serve"]]
    return commands


def cpu_seconds() -> float:
    """Of every process that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.browser
@pytest.mark.timeout(1200)
def test_from_photographs_to_an_explained_failing_query(
    browser: object, test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(test_data / "photos", tmp_path / "photos")
    environment = os.environ | {"RETRIEVAL_LENS_CACHE": str(tmp_path / "cache")}
    begin, serve = printed()
    cpu, started = cpu_seconds(), time.monotonic()
    command = [sys.executable, "-m", "core", *begin[1:]]
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = time.monotonic() - started
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "log.txt"
    with log.open("w") as out:
        command = [sys.executable, "-m", "core", *serve[1:], "--port", str(port)]  # 8501 may be taken here
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=out)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, log)
        tab = Tab(browser, address)
        tab.page.goto(address)
        tab.settle("overview")
        tab.page.get_by_role("link", name="Retrieval", exact=True).first.click()
        tab.settle("retrieval")
        assert "do not belong together" in tab.text() and "By chance alone" in tab.text()
        tab.page.get_by_role("radio", name=re.compile(r"^Failing \d")).first.click()
        tab.page.get_by_role("link", name=re.compile(r"Why is the right one only #\d")).first.click()
        tab.settle("similarity")
        explained = tab.text()
        tab.healthy()
        tab.context.close()
    finally:
        process.terminate()
        process.wait(30)
    took, used = time.monotonic() - started, cpu_seconds() - cpu
    with capsys.disabled():
        sys.stdout.write(f"\nmade in {made:.0f} s, explained after {took:.0f} s; {used:.0f} CPU seconds\n")
    assert re.search(r"margin", explained, flags=re.I) and re.search(r"concept", explained, flags=re.I), explained
    assert used < MOST_CPU_SECONDS
