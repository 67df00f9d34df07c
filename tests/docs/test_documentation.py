"""README and docs/: generated parts are up to date, links lead somewhere, what a page names exists."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import core
from core.config import PRESETS, parse_spec
from docs.generate.parts import PARTS, Part, agree

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [page.name for page in PAGES]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:core|dashboard|tests|docs)/[\w./-]+)`")


def part_name(part: Part) -> str:
    return f"{Path(part.page).stem}-{part.name}"


def outside_marks(page: Path) -> str:
    """The text of a page that people wrote."""
    return re.sub(r"<!-- generated: .*?<!-- end of [\w-]+ -->", "", page.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize("part", [part for part in PARTS if not part.needs_runs], ids=part_name)
def test_a_generated_part_is_up_to_date(part: Part) -> None:
    assert part.read() == part.make(), "next: make docs"


@pytest.mark.demo
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", [part for part in PARTS if part.needs_runs], ids=part_name)
def test_findings_agree_with_live_numbers(part: Part, demo_store: object) -> None:
    written, live = part.read().splitlines(), part.make().splitlines()
    differing = [(a, b) for a, b in zip(written, live, strict=False) if not agree(a, b)]
    assert len(written) == len(live) and differing == [], "next: make docs"


def test_agreement_allows_rounding_and_nothing_else() -> None:
    assert agree("rises by 48.7 points [+46.2, +51.1]", "rises by 48.9 points [+46.1, +51.4]")
    assert not agree("rises by 48.7 points", "rises by 49.1 points")
    assert not agree("rises by 48.7 points", "falls by 48.7 points")
    assert not agree("n = 1,000 queries", "n = 1,001 queries")
    assert agree("−0.1 points", "+0.1 points") and not agree("−0.4 points", "+0.4 points")


def test_a_part_is_replaced_between_its_marks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docs.generate.parts.ROOT", tmp_path)
    part = Part("page.md", "mine", lambda: "")
    begin, end = part.marks
    (tmp_path / "page.md").write_text(f"# Mine\n\n{begin}\nold\n{end}\n\nafter\n")
    part.write("new\nlines")
    assert (tmp_path / "page.md").read_text() == f"# Mine\n\n{begin}\nnew\nlines\n{end}\n\nafter\n"
    assert part.read() == "new\nlines"
    (tmp_path / "page.md").write_text(f"{begin}\nno end\n")
    with pytest.raises(ValueError, match="each mark once"):
        part.read()


def test_the_map_lists_every_file_by_its_whole_path() -> None:
    """Compared with what git tracks, so that the generator cannot leave a file out of both."""
    listed, folder = set(), ""
    # The text above the map names files too; these lines do not count.
    for line in next(part for part in PARTS if part.name == "map").read().splitlines():
        if heading := re.fullmatch(r"\*\*(\S+/)\*\*", line):
            folder = heading[1]
        elif entry := re.match(r"- `([^`]+)` \S", line):
            listed.add(folder + entry[1])
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "core", "dashboard", "docs", "tests"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    tracked = {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}
    whole = tuple(entry for entry in listed if entry.endswith("/"))
    said = {name for name in tracked if not name.endswith("__init__.py") or (ROOT / name).read_text().strip()}
    missing = {name for name in said if name not in listed and not name.startswith(whole)}
    assert len(tracked) > 150
    assert missing == set()
    assert {entry for entry in listed if not (ROOT / entry).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_pages_and_headings_that_exist(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), flags=re.M)
            assert anchor in {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_paths_that_a_page_names_exist(page: Path) -> None:
    named = {name for name in PATH.findall(outside_marks(page)) if "NAME" not in name}
    assert {name for name in named if not (ROOT / name).exists()} == set()
    if page.name in ("study.md", "architecture.md"):
        assert len(named) > 20


def test_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120


def test_readme_has_no_number_of_the_demo_outside_the_generated_part() -> None:
    """The demo's models are trained again now and then; a number typed by hand would outlive them."""
    text = outside_marks(ROOT / "README.md")
    assert re.findall(r"\d+(?:\.\d+)?(?:%| points)", text.replace("are 95%", "")) == []


@pytest.mark.parametrize("name", ["README.md", "docs/running.md"])
def test_spec_files_on_a_page_are_valid(name: str) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.S)
    assert blocks
    photos = {"corpus": {"source": "folder", "path": "photos"}}
    for block in blocks:
        parse_spec(photos | tomllib.loads(block))  # some show one section, whatever the corpus is


def test_presets_that_pages_name_ship_with_the_project() -> None:
    named = {name for page in PAGES for name in re.findall(r"`?([\w-]+\.toml)`", page.read_text(encoding="utf-8"))}
    shipped = {path.name for path in PRESETS.glob("*.toml")}
    assert shipped <= named
    assert named - shipped <= {"mine.toml", "SPEC.toml", "pyproject.toml"}


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert core.__version__ == project["version"] == citation["version"] == versions[0]


def test_the_study_is_cited() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert any("2512.19115" in str(i["value"]) for r in citation["references"] for i in r["identifiers"])
