"""What the demo's own numbers say about the study's four claims: one table, measured here, beside what the study
printed.

Where the demo differs from the study the table shows it; nothing is chosen to agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from core.run import Run

REMOVAL = "remove-top(share=0.01)"
CONTROL_SEEDS = (0, 1, 2)
COLUMNS = ("question", "demo-mllm", "demo-clip", "the study, large models")


def report(mllm: Run, clip: Run) -> pd.DataFrame:
    """DataFrame[question, demo-mllm, demo-clip, the study]: modality split, concentration, overlaps, removal,
    whitening; ready to print."""
    import pandas as pd

    answers = [[ask(run) for run in (mllm, clip)] for ask, _, _ in QUESTIONS]
    rows = [(question, *pair, study) for (_, question, study), pair in zip(QUESTIONS, answers, strict=True)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _text_concepts(run: Run) -> str:
    from core.questions import modality

    found = modality.scores(run)
    return f"{_percent(found.share_text)} of {found.alive} (image: {_percent(found.share_image)})"


def _concentration(run: Run) -> str:
    from core.questions import modality

    found = modality.cumulative_energy(run)
    return f"{_percent(found.share_for_99)} of {found.n_concepts}"


def _overlap(run: Run) -> str:
    from core.questions import modality

    row = modality.overlaps(run).iloc[-1]
    return f"{row['overlap']:.2f} (sets of {row['n']})"


def _removal(run: Run) -> str:
    from core.questions.retrieval import evaluate

    count = max(1, round(0.01 * run.need_sae().width))
    controls = [_recall(evaluate(run, f"remove-random(count={count},seed={seed})")) for seed in CONTROL_SEEDS]
    before, after = _recall(evaluate(run)), _recall(evaluate(run, REMOVAL))
    return f"{_percent(before)} -> {_percent(after)} (random: {_percent(min(controls))} to {_percent(max(controls))})"


def _whitening(run: Run) -> str:
    from core.questions.retrieval import evaluate

    return " -> ".join(_percent(_recall(evaluate(run, variant))) for variant in ("none", "center", "realign"))


def _fidelity(run: Run) -> str:
    from core.questions.fidelity import fidelity

    found = fidelity(run)
    return (
        f"{_percent(found.value('explained variance'))}; R@1 {_percent(found.value('recall@1 of the reconstruction'))}"
    )


def _recall(evaluated: object) -> float:
    return evaluated.evaluation.recall[1]  # type: ignore[attr-defined]


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.1f}%"


QUESTIONS = (
    (
        _text_concepts,
        "concepts that speak text only (score > 0.9)",
        "most concepts near 1; contrastive balanced (Fig 2)",
    ),
    (_concentration, "concepts that hold 99% of the energy", "5.4-7.9%; contrastive 2.3-4.5% (Fig 3)"),
    (_overlap, "top 1% shared by energy, bridge, attribution", "0.55-0.65; contrastive 0.29-0.48 (Table 1)"),
    (_removal, "R@1 without the top 1% by attribution", "Qwen2-VL 5.6% -> 13.2%, no control (Table 2)"),
    (_whitening, "R@1 raw -> centred -> ReAlign", "Qwen2-VL about 6% -> 26% -> 47% (Fig 6)"),
    (_fidelity, "explained variance of the SAE; retrieval by it", "not reported"),
)
"""(what to measure, in words, what the study printed)."""
