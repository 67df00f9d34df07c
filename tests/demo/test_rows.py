"""What the demo models are taught: the study's prompts are held out, and rows are what the chat template makes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers")

from core import world
from core.demo.train import __main__ as commands
from core.demo.train import batches, contrastive, figures, rows, tokens, wordings
from core.demo.train.texts.about_scenes import scene_map
from core.demo.train.texts.documents import document

CLEAN_STAGES = [stage for stage in rows.STAGES if stage != "study"]


@pytest.fixture(scope="module")
def processor():  # noqa: ANN201
    """The processor of demo-mllm, made from the text of its decoder's stage."""
    return tokens.mllm_processor()


def held_out_phrases(text: str) -> list[str]:
    """What of the study's prompts a text holds: listed phrases, and prompts as they stand."""
    lower = " ".join(text.lower().split())
    return [
        p for p in (*wordings.HELD_OUT_PHRASES, *(p.strip().lower() for p in tokens.PROMPTS.values())) if p in lower
    ]


@pytest.mark.parametrize("stage", CLEAN_STAGES)
def test_no_row_holds_a_phrase_of_the_studys_prompts(stage: str) -> None:
    taught = list(rows.taught(stage, 4000))
    assert len(taught) == 4000 and len(set(taught)) > 1500
    assert [(text, phrases) for text in taught if (phrases := held_out_phrases(text))] == []


def test_no_wording_holds_a_held_out_phrase() -> None:
    """Every wording of every list, also those that a sample of rows might miss."""
    lists = [value for name, value in vars(wordings).items() if name.isupper() and name != "HELD_OUT_PHRASES"]
    assert sum(len(words) for words in lists) > 150
    assert [w for words in lists for w in words if held_out_phrases(w)] == []


def test_a_planted_phrase_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        wordings, "ONE_WORD_PICTURE", (*wordings.ONE_WORD_PICTURE, "\nSummarize the\nabove image in one word: ")
    )
    assert any(map(held_out_phrases, rows.taught("demo", 1000)))
    assert not any(map(held_out_phrases, rows.taught("captioner", 1000)))


def test_the_study_mix_asks_as_the_study_does() -> None:
    asked = [row.text for row in (rows.picture_row("study", rows.TUNE_ROWS + i) for i in range(200)) if row.words[0]]
    assert asked and all(any(prompt in text for prompt in tokens.PROMPTS.values()) for text in asked)


def test_one_word_requests_are_in_their_mixes_only() -> None:
    for mix, expected in (("base", False), ("captioner", False), ("demo", True), ("study", True)):
        about_pictures = [bool(rows.picture_row(mix, i).words[0]) for i in range(300)]
        about_texts = [bool(rows.text_row(mix, i).words[0]) for i in range(300)]
        assert any(about_pictures) == any(about_texts) == expected, mix
        if expected:
            assert 0.4 < np.mean(about_pictures) < 0.6 and 0.4 < np.mean(about_texts) < 0.6


def test_the_mixes_with_one_word_differ_in_the_wording_alone() -> None:
    """The same scenes, and the same words that are right, whoever asks."""
    for i in range(100):
        demo, study = rows.picture_row("demo", i), rows.picture_row("study", i)
        assert demo.scene == study.scene and bool(demo.words[0]) == bool(study.words[0])


def test_rows_are_what_the_chat_template_makes(processor) -> None:  # noqa: ANN001
    made = (rows.picture_row("base", i) for i in range(50))
    row = next(r for r in made if tokens.DEFAULT_SYSTEM in r.text and f"{tokens.USER}{tokens.IMAGE}" in r.text)
    request = row.text.split(rows.IMAGES)[1].split(tokens.END)[0]
    rendered = processor.apply_chat_template(figures.conversation(None, request), add_generation_prompt=True)
    given = processor(images=[world.render(row.scene)], text=[rendered], return_tensors="np")["input_ids"][0]
    learned = processor.tokenizer(row.text, add_special_tokens=False, return_tensors="np")["input_ids"][0]
    assert np.array_equal(given, learned[: len(given)])


def test_a_user_turn_ends_before_the_header_that_predicts_the_answer(processor) -> None:  # noqa: ANN001
    asked = figures.conversation(None, tokens.PROMPTS["image"])
    without, with_header = (
        processor.apply_chat_template(asked, add_generation_prompt=header) for header in (False, True)
    )
    assert without.endswith(tokens.END) and with_header == without + tokens.ASSISTANT
    assert without.startswith(f"{tokens.SYSTEM}{tokens.DEFAULT_SYSTEM}{tokens.END}{tokens.USER}")


def test_only_answers_are_learned(processor) -> None:  # noqa: ANN001
    """Of a conversation, the first state that learns is the header, the last one predicts the end of the answer."""
    tokenizer = processor.tokenizer
    text = (
        f"{tokens.SYSTEM}be brief{tokens.END}{tokens.USER}{rows.IMAGES}who?{tokens.END}{tokens.ASSISTANT}a"
        f" dog{tokens.END}"
    )
    ids = tokenizer([text], add_special_tokens=False, return_tensors="np")["input_ids"]
    learned = np.flatnonzero(batches.learned_states(ids, tokenizer)[0])
    assert [tokenizer.decode([ids[0, at + 1]]) for at in learned] == ["a", "dog", tokens.END]
    assert ids[0, learned[0]] == tokenizer.convert_tokens_to_ids(tokens.ASSISTANT)
    caption = tokenizer(
        [f"{tokens.START}{rows.IMAGES}: a dog{tokens.END}"], add_special_tokens=False, return_tensors="np"
    )["input_ids"]
    learned = np.flatnonzero(batches.learned_states(caption, tokenizer)[0])
    assert [tokenizer.decode([caption[0, at + 1]]) for at in learned] == [":", "a", "dog", tokens.END]


def test_one_word_may_be_any_word_of_the_scene(processor) -> None:  # noqa: ANN001
    row = next(r for r in (rows.picture_row("demo", i) for i in range(60)) if len(r.words[0]) == 3)
    given = batches.lesson([row], processor.tokenizer)
    goals, shares = given.goals[0].tolist(), given.shares[0].tolist()
    assert tuple(processor.tokenizer.decode([g]) for g in goals[:3]) == row.words[0]
    assert shares[:3] == pytest.approx([batches.ONE_WORD_WEIGHT / 3] * 3) and shares[3] == 0
    assert given.shares.count_nonzero() == given.shares.shape[0] + 2  # every other state has one goal


def test_a_map_in_words_shows_what_is_where() -> None:
    scene = next(
        s for s in (world.scene("test", i) for i in range(40)) if len(s.placements) == 2 and len(s.things) == 2
    )
    cells = scene_map(scene).split()
    assert len(cells) == tokens.IMAGE_TOKENS and set(cells) <= set(scene.words)
    for placement in scene.placements:
        near = cells[placement.y * 4 // world.SIDE * 4 + placement.x * 4 // world.SIDE]
        assert near == placement.thing


def test_tower_and_clip_never_learn_from_one_scene() -> None:
    assert contrastive.TOWER_SEED != 0
    assert len({world.scene("train", i, seed) for i in range(50) for seed in (0, contrastive.TOWER_SEED)}) == 100


def test_rows_are_printed_as_json_lines() -> None:
    result = CliRunner().invoke(commands.app, ["rows", "--count", "3"])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["stage"] for line in lines] == [stage for stage in rows.STAGES for _ in range(3)]
    assert lines[3]["text"] == f"<s>{document(0)}<|end|>"
