"""Every word on screen: `terms` (the glossary), `numbers` (how they are written), `pages` (names and help texts),
`exhibits` (columns and outcomes), and `foreign`: how words that are not ours are shown. Plain Python: no Streamlit, so
that docs and tests can import it."""

from dashboard.words.foreign import plain, prose, shell
from dashboard.words.numbers import count, duration, interval, percent, points, sample, size
from dashboard.words.pages import (
    AFTER_HELP,
    ASK_NOTE,
    CENTRED_HELP,
    CONCEPT_HELP,
    D_PRIME_HELP,
    EXAMPLE_HELP,
    FIND_HELP,
    GROUPS,
    KIND_HELP,
    KINDS_TWO_HELP,
    LABEL_HELP,
    LABELS_HELP,
    LIVE_PICTURE_HELP,
    LIVE_TEXT_HELP,
    MODALITY,
    NOTES_HELP,
    OFF_HELP,
    PAGES,
    PAIRS_HELP,
    PARTS,
    PLACES,
    POOLINGS,
    RANK_OTHER_NOTE,
    RECOMMEND_HELP,
    REMOVE_HELP,
    REQUEST_HELP,
    SIDE_A_HELP,
    SIDE_B_HELP,
    SORT_HELP,
    SPEAKS_HELP,
    STATISTICS_HELP,
    STUDY_OVERLAPS,
    TASKS,
    THEN_HELP,
    VARIANT_HELP,
    VARIANTS,
    WHITENING_LINES,
    variant_name,
)
from dashboard.words.terms import GEOMETRY, WORDS, Word, explain, word

__all__ = [
    "AFTER_HELP", "CENTRED_HELP", "CONCEPT_HELP", "D_PRIME_HELP", "EXAMPLE_HELP", "FIND_HELP", "GEOMETRY", "GROUPS",
    "ASK_NOTE", "KINDS_TWO_HELP", "KIND_HELP", "LABEL_HELP", "LIVE_PICTURE_HELP", "LIVE_TEXT_HELP", "MODALITY",
    "LABELS_HELP", "NOTES_HELP", "RECOMMEND_HELP",
    "OFF_HELP", "PAGES", "PAIRS_HELP", "PARTS", "PLACES", "POOLINGS", "RANK_OTHER_NOTE", "REMOVE_HELP", "REQUEST_HELP",
    "SIDE_A_HELP", "SIDE_B_HELP", "SORT_HELP", "SPEAKS_HELP", "STATISTICS_HELP", "STUDY_OVERLAPS", "TASKS",
    "THEN_HELP", "VARIANTS", "VARIANT_HELP", "WHITENING_LINES", "WORDS", "Word", "count", "duration", "explain",
    "interval", "percent", "plain", "points", "prose", "sample", "shell", "size", "variant_name", "word",
]  # fmt: skip
