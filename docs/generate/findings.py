"""What the exhibits say on the demo's runs: docs/findings.md, and the three findings that README quotes.

Numbers and verdicts are the exhibits' own. A sentence chooses its words by the sign of its number and by whether the
number is clear, so it stays true when the demo's models change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from math import nan
from pathlib import Path

from core.demo.runs import MIXED as MIXED_RUN
from core.demo.runs import make_demo
from core.exhibits import EXHIBITS, Shown, Value, Verdict, show_exhibit
from core.exhibits.claims import Claim
from core.exhibits.claims import claims as judged
from core.exhibits.shared import agreement
from core.progress import RichProgress
from core.run import Run, open_run
from core.store import Store
from dashboard.words.exhibits import option_label

DIRECTIONS = {"image → text": ("demo", "demo-clip"), "text → image": ("demo-task1", "demo-clip-task1")}
"""Direction -> the generative run and the contrastive run beside it."""
METRICS = ("recall@1", "recall@5")
LEFT_OUT = ("table-4", "table-7", "inside", "word-causes", "faithfulness", "token-split")
"""Table 4 needs a fine-tuned retriever, which the demo lacks; Table 7 measures seconds, which differ every time; the
others run the model again, for minutes."""

MIXED = ("mixed-pools", "modality-bias")
"""Exhibits on pools of several modalities: shown on the demo's run over one, the others would be left out."""
MIXED_DIRECTION = {"text → image, text or both": (MIXED_RUN,)}

ONCE = ("dictionaries", "sae-fidelity")
"""Exhibits shown for the first direction only: they fit dictionaries to the same images and captions, for minutes."""


@dataclass(frozen=True)
class Entry:
    """One exhibit with one choice of options; `remark` says what the choice means."""

    exhibit: str
    options: dict[str, Value] = field(default_factory=dict)
    remark: str = ""

    @property
    def settings(self) -> tuple[dict[str, Value], ...]:
        """The options, once per metric where the exhibit offers one."""
        offers = any(option.name == "metric" for option in EXHIBITS[self.exhibit].options)
        return tuple({**self.options, "metric": metric} for metric in METRICS) if offers else (self.options,)


def entries() -> Iterator[Entry]:
    """Every exhibit in the order of the paper; claim 3 also after centring, where the study did not look."""
    for name in EXHIBITS:
        if name in LEFT_OUT:
            continue
        yield Entry(name)
        if name == "table-2":
            yield Entry(name, {"then": "center"}, "after centring each side")
        if name == "modality-bias":
            for variant, words in (("center", "side"), ("center(statistics=per-modality)", "modality")):
                yield Entry(name, {"variant": variant}, f"after centring each {words}")


def all_findings() -> str:
    """docs/findings.md: the study's four claims, then one section per exhibit with one row per verdict."""
    make_demo(Store.default(), RichProgress())
    return "\n\n".join([_claims(), *(_section(entry) for entry in entries())])


def _claims() -> str:
    """The four claims with both metrics, in both directions; their sentences are `core.exhibits.claims`'."""
    rows, commands = [], []
    for metric in METRICS:
        for direction, names in DIRECTIONS.items():
            commands.append(f"retrieval-lens claims {' '.join(names)} --metric {metric}")
            rows += [_claim(direction, claim) for claim in judged(_runs(names), metric)]
    rows = list(dict.fromkeys(sorted(rows)))  # claims 1 and 2 know no recall: both metrics give the same row
    head = ["| claim | direction | on | judged by | verdict | number | 95% interval | n | settings that agree |"]
    head.append("|" + " --- |" * 9)
    return "\n".join(["## The study's four claims", "", *head, *rows, "", "```sh", *commands, "```"])


def _claim(direction: str, claim: Claim) -> str:
    number, interval = ("", "")
    if claim.value is not None:
        number = signed(claim.value) if claim.metric.startswith("recall") else f"{100 * claim.value:.1f}"
    if claim.low is not None and claim.high is not None:
        interval = f"{100 * claim.low:.1f} to {100 * claim.high:.1f}".replace("-", "−")
    settings = "" if claim.settings is None else f"{claim.settings.agrees} of {claim.settings.of}"
    if claim.depends_on:
        settings += f", depends on {option_label(claim.depends_on).lower()}"
    n = "" if claim.n is None else f"{claim.n:,}"
    cells = (f"{claim.claim}. {claim.title}", direction, claim.on, f"`{claim.exhibit}`, {claim.metric}", claim.outcome)
    return f"| {' | '.join((*cells, number, interval, n, settings))} |"


def _section(entry: Entry) -> str:
    exhibit = EXHIBITS[entry.exhibit]
    title = f"## {exhibit.title}{f', {entry.remark}' if entry.remark else ''}"
    rows, commands = [], []
    directions = MIXED_DIRECTION if entry.exhibit in MIXED else DIRECTIONS
    for direction, runs in list(directions.items())[: 1 if entry.exhibit in ONCE else None]:
        for options in entry.settings:
            shown = _show(entry.exhibit, runs, options)
            commands.append(shown.reproduce)
            rows += [
                _row(entry.exhibit, direction, str(options.get("metric", "")), verdict) for verdict in shown.verdicts
            ]
            rows += [f"| {direction} | | {left.run} | left out | | | {left.why} |" for left in shown.left_out]
    head = ["| direction | metric | run | verdict | points | 95% interval, n | what |", "|" + " --- |" * 7]
    listed = "\n".join(dict.fromkeys(commands))
    return "\n".join([title, "", f"*{exhibit.claim}*", "", *head, *rows, "", "```sh", listed, "```"])


def _row(exhibit: str, direction: str, metric: str, verdict: Verdict) -> str:
    """A row of the table; the words of a verdict lose the numbers that stand in cells of their own."""
    aside = "" if verdict.about == "claim" else ", beside the claim"
    if verdict.difference is None or verdict.low is None or verdict.high is None:
        points, interval, what = "", "", verdict.why
    else:
        points, interval = signed(verdict.difference), _interval(verdict)
        if exhibit == "figure-3":  # its difference counts concepts, in units of K
            points, interval = f"{verdict.difference:+.1f} K", f"{verdict.low:+.1f}, {verdict.high:+.1f}"
        interval += "" if verdict.n is None else f", n = {verdict.n:,}"
        what = verdict.why.split(": ")[0]
    cells = (direction, metric, verdict.on, verdict.outcome + aside, points, interval, what.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def three() -> str:
    """README's three findings, as a Markdown list."""
    make_demo(Store.default(), RichProgress())
    return "\n".join(f"{number}. {finding()}" for number, finding in enumerate(THREE, 1))


def _worse() -> str:
    said = ["**Does a model that only learned to speak retrieve worse than a small contrastive one?**"]
    for direction, runs in DIRECTIONS.items():
        verdict = pick(_show("figure-1", runs, {"metric": "recall@5"}), runs[0], "claim")
        said.append(f"*{direction}*: its Recall@5 is {apart(verdict)} `demo-clip`'s.")
    return " ".join([*said, _command("figure-1")])


def _distract() -> str:
    said = ["**Do the concepts that contribute most distract?** We remove the top 1% by attribution."]
    for then, where in (("none", ""), ("center", ", after centring")):
        for direction, runs in DIRECTIONS.items():
            shown = _show("table-2", runs, {"metric": "recall@5", "then": then})
            alone, random = pick(shown, runs[0], "claim"), pick(shown, runs[0], "beside", "random")
            said.append(f"*{direction}{where}*: Recall@5 {moved(alone)}.")
            said.append(f"It ends {apart(random)} what is left after removing as many random concepts.")
    return " ".join([*said, _command("table-2")])


def _repair() -> str:
    said = ["**Does whitening repair it, without training?**"]
    for direction, runs in DIRECTIONS.items():
        shown = _show("table-3", runs, {"metric": "recall@5"})
        raw, centring = pick(shown, runs[0], "claim"), pick(shown, runs[0], "beside", "centring")
        said.append(f"*{direction}*: with ReAlign, Recall@5 {moved(raw)}. It ends {apart(centring)} centring alone.")
    return " ".join([*said, _command("table-3")])


THREE: tuple[Callable[[], str], ...] = (_worse, _distract, _repair)


def _show(exhibit: str, runs: tuple[str, ...], options: dict[str, Value]) -> Shown:
    return show_exhibit(exhibit, _runs(runs), **options)


def _runs(names: tuple[str, ...]) -> list[Run]:
    """The runs, opened once, so that what they keep in memory serves every exhibit."""
    store = Store.default()
    return [_opened(name, store.root) for name in names]


@cache
def _opened(name: str, root: Path) -> Run:
    return open_run(name, Store(root))


def pick(shown: Shown, run: str, about: str, word: str = "") -> Verdict:
    """The first verdict of a run that is about that, and whose words hold `word`.

    Raises:
        LookupError: the exhibit says nothing of the kind.
    """
    for verdict in shown.verdicts:
        if run in verdict.on.split(", ") and verdict.about == about and word in verdict.why:
            return verdict
    raise LookupError(f"{shown.exhibit.name} has no verdict about {about!r} with {word!r} on {run!r}")


def moved(verdict: Verdict) -> str:
    """`rises by 48.7 points [46.2, 51.1]`, `falls by ...`, or `does not clearly change (... )`."""
    if not clear(verdict):
        return f"does not clearly change ({_open(verdict)})"
    return f"{'rises' if _difference(verdict) > 0 else 'falls'} by {_size(verdict)}"


def apart(verdict: Verdict) -> str:
    """`7.0 points [5.1, 9.0] above`, the same with `below`, or `not clearly above or below (...)`."""
    if not clear(verdict):
        return f"not clearly above or below ({_open(verdict)})"
    return f"{_size(verdict)} {'above' if _difference(verdict) > 0 else 'below'}"


def clear(verdict: Verdict) -> bool:
    """Whether the verdict's own number has a direction: its interval leaves 0 out, and its test agrees.

    Not the outcome: a claim "depends" where other settings contradict this one, and its number stays as clear as it is.
    """
    if verdict.difference is None or verdict.low is None or verdict.high is None:
        return False
    p = nan if verdict.p_value is None else verdict.p_value
    return agreement.direction(verdict.low, verdict.high, +1, p) in ("agrees", "disagrees")


def _difference(verdict: Verdict) -> float:
    if verdict.difference is None:
        raise LookupError(f"the verdict on {verdict.on!r} has no number: {verdict.why}")
    return verdict.difference


def _size(verdict: Verdict) -> str:
    """`7.6 points [5.5, 9.8]`: how far, whichever way; the interval of a clear difference does not hold 0."""
    assert verdict.low is not None and verdict.high is not None
    near, far = sorted((abs(verdict.low), abs(verdict.high)))
    return f"{100 * abs(_difference(verdict)):.1f} points [{100 * near:.1f}, {100 * far:.1f}]"


def _open(verdict: Verdict) -> str:
    """`+0.4 points [−1.0, +1.8]`: a difference that may be none keeps its signs."""
    return f"{signed(_difference(verdict))} points [{_interval(verdict)}]"


def _interval(verdict: Verdict) -> str:
    assert verdict.low is not None and verdict.high is not None
    return f"{signed(verdict.low)}, {signed(verdict.high)}"


def signed(ratio: float) -> str:
    """0.487 -> `+48.7`, with a true minus sign below 0."""
    return f"{100 * ratio:+.1f}".replace("-", "−")


def _command(exhibit: str) -> str:
    return f"`retrieval-lens exhibit {exhibit} {' '.join(run for runs in DIRECTIONS.values() for run in runs)}`"
