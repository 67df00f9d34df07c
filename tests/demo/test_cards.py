"""Cards say what was measured, and nothing else; aims are judged by the figures."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers")

from core.demo.train import cards, examination
from core.demo.train.cards import Figure


def measured(**changed: float) -> list[Figure]:
    """Figures of a model that reaches every aim, some of them changed."""
    shares = {"captions with all the right things": 0.9}
    for direction in ("image to text", "text to image"):
        for k in (1, 5, 10):
            for name, share in (
                ("mean, raw", 0.2),
                ("mean, centred", 0.5),
                ("mean, ReAlign", 0.3),
                ("last token", 0.1),
                ("answer", 0.6),
            ):
                shares[f"{direction} R@{k}, {name}"] = share
    return [Figure(what, share, "a sample") for what, share in {**shares, **changed}.items()]


def test_a_part_of_a_card_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    begin, end = cards.marks("figures")
    card.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    cards.write(card, "figures", cards.table([Figure("R@1", 0.5, "2 pictures")]))
    assert (
        card.read_text(encoding="utf-8")
        == f"before\n{begin}\n| figure | value | measured on |\n| --- | --- | --- |\n| R@1 | 50.0% | 2 pictures"
        f" |\n{end}\nafter\n"
    )
    with pytest.raises(ValueError, match="lacks the marks"):
        cards.write(card, "aims", "none")


def test_aims_are_reached_or_not() -> None:
    verdicts = [line.split(":")[0] for line in examination.aims(measured(), 0.9).splitlines()]
    assert verdicts == ["- Reached"] * 5
    assert "2.50 times (image to text, centred)" in examination.aims(measured(), 0.9)


@pytest.mark.parametrize(
    ("what", "share", "missed"),
    [
        ("captions with all the right things", 0.89, 0),
        ("image to text R@1, mean, raw", 0.004, 1),
        ("image to text R@1, mean, raw", 0.46, 2),
        ("text to image R@1, last token", 0.21, 4),
    ],
)
def test_each_aim_can_be_missed(what: str, share: float, missed: int) -> None:
    verdicts = [line.split(":")[0] for line in examination.aims(measured(**{what: share}), 0.9).splitlines()]
    assert [n for n, verdict in enumerate(verdicts) if verdict == "- Not reached"] == [missed]


def test_a_remedy_that_does_not_double_recall_misses_its_aim() -> None:
    weak = {f"{d} R@5, mean, {r}": 0.39 for d in ("image to text", "text to image") for r in ("centred", "ReAlign")}
    assert examination.aims(measured(**weak), 0.9).splitlines()[3].startswith("- Not reached")
