"""Words of the map and of the selection that is made on it."""

# ruff: noqa: E501 (a help text is one string)

from __future__ import annotations

MIXING_HELP = "For every item: how many of its ten nearest neighbours, by cosine among all items of the map and exactly found, are of another modality; the mean over items. In brackets: 95% interval, items that match drawn as one."
MIXING_CHANCE_HELP = "The same share if modality did not matter: the mean over items of the share of all other items that are of another modality."
MAP_KEYS = "Arrow keys move, plus and minus zoom, 0 shows all, Escape clears the selection. The names below the tools select all items of a kind; the table below lists what is selected."
MAP_NOTE = "Neighbours mean something; distances between far clusters do not."
COLOURS = {
    "modality": "Modality",
    "side": "Query or candidate",
    "group": "Main group",
    "background": "Background",
    "failure": "Failure",
    "rank": "Rank of the first relevant",
    "hubness": "Hubness",
    "concept": "Concept",
}
COLOUR_HELP = "Failure and rank belong to queries, hubness (in how many queries' ten best a candidate stands) to candidates; each map shows those of its own variant. Concept: activation of the concept that you name."
SELECT_HELP = "Draw around points with the lasso or the box (or hold Shift and drag); Ctrl adds to what is selected. A click chooses one item. The wheel zooms once the map has the focus."
SELECTED_CONCEPTS_HELP = "Concepts that fire on more of the selected items than on as many others of the same modality. p: one-sided and exact, within each modality, times the number of concepts that were tested (Bonferroni). A selection that was drawn because of what it holds makes small p-values easy: they describe it, they confirm nothing."
