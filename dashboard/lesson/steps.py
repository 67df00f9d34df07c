"""The nine steps of the Lesson. Each asks the audience a question, then draws one idea from live numbers as its answer.

Sentences are chosen by the numbers: a step claims nothing that the run does not show, and calls a difference whose test
is not clear just that. What is missing (no pictures, no SAE, no second run) is said in its place. Steps 7 and 9 read
the same paired differences, so the advice at the end never contradicts what was shown before.
"""

from __future__ import annotations

from dashboard.lesson import part_1_search as search
from dashboard.lesson import part_2_concepts as concepts
from dashboard.lesson import part_3_repair as repair
from dashboard.lesson import part_4_answer as answer
from dashboard.lesson.shared import Step

STEPS: tuple[Step, ...] = (
    Step("It sees", search.ask_what_it_sees, search.sees, "playground", "Ask it yourself"),
    Step("It must find", search.ask_where_it_lands, search.finds, "retrieval", "All queries, one by one"),
    Step("What fires", concepts.ask_what_they_share, concepts.fires, "concepts", "Every concept"),
    Step(
        "Text and image",
        concepts.ask_who_speaks,
        concepts.speaks,
        "modality",
        "The whole distribution",
        one_query=False,
        claim=1,
    ),
    Step(
        "What every similarity is made of",
        concepts.ask_how_alike,
        concepts.made_of,
        "similarity",
        "Take this similarity apart",
        claim=3,
    ),
    Step("What one matrix repairs", repair.ask_what_a_matrix_does, repair.repairs, "retrieval", "Before and after"),
    Step(
        "What the repair is made of",
        repair.ask_what_does_the_work,
        repair.taken_apart,
        "map",
        "See it on the map",
        one_query=False,
        claim=4,
    ),
    Step(
        "One token too early",
        answer.ask_where_to_read,
        answer.too_early,
        "exhibits",
        "All readings, with the rule",
        one_query=False,
    ),
    Step(
        "Your own retriever",
        answer.ask_what_to_do,
        answer.own_retriever,
        "exhibits",
        "The study’s figures and tables",
        one_query=False,
    ),
)
