"""The demo world: ground truth is what is drawn and said, splits are apart, composed targets are what the text asks
for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import core.world
from core import world
from core.world import backgrounds
from core.world.scenes import MAX_KINDS, MAX_SPRITES

HERE = Path(core.world.__file__).parent
SCENES = [world.scene("test", i) for i in range(300)]
_THING_OF = {word: t.name for t in world.THINGS.values() for word in (t.name, t.plural)}


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text)


def things_in(text: str) -> set[str]:
    return {_THING_OF[w] for w in words_of(text) if w in _THING_OF}


def test_world_is_light() -> None:
    code = "import sys, core.world; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_scene_is_the_same_for_ever() -> None:
    golden = world.scene("test", 0)
    assert golden == world.scene("test", 0)
    assert (golden.background, golden.counts) == ("desert", {"shark": 2, "apple": 1})
    assert np.array_equal(world.render(golden), world.render(world.scene("test", 0)))


def test_seeds_and_indices_matter() -> None:
    assert world.scene("test", 0) != world.scene("test", 1)
    assert world.scene("test", 0) != world.scene("test", 0, seed=1)


def test_splits_share_no_scene() -> None:
    splits = [{world.scene(split, i) for i in range(2000)} for split in world.SPLITS]
    assert all(len(s) >= 1995 for s in splits)
    assert not splits[0] & splits[1] and not splits[0] & splits[2] and not splits[1] & splits[2]


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="train, support, test"):
        world.scene("validation", 0)


def test_size_of_the_world() -> None:
    assert len(world.NAMES) >= 150 and len(world.GROUPS) >= 12 and len(world.BACKGROUNDS) >= 8
    shown = {name for i in range(3000) for name in world.scene("train", i).things}
    assert shown == set(world.NAMES)


def test_every_thing_has_a_sprite_of_its_own() -> None:
    sheet = np.asarray(Image.open(HERE / "sprites.png"))
    layout = json.loads((HERE / "sprites.json").read_text(encoding="utf-8"))
    side, columns = layout["cell"], layout["columns"]
    cells = [sheet[side * (i // columns) :, side * (i % columns) :][:side, :side] for i in range(len(layout["things"]))]
    assert all((cell[..., 3] > 127).mean() > 0.1 for cell in cells)
    assert len({cell.tobytes() for cell in cells}) == len(world.NAMES)


def test_what_is_drawn_is_the_thing_that_is_named() -> None:
    sheet = Image.open(HERE / "sprites.png").convert("RGBA")
    layout = json.loads((HERE / "sprites.json").read_text(encoding="utf-8"))
    side = layout["cell"]
    for i, name in enumerate(t["name"] for t in layout["things"]):
        scene = world.Scene("night", (world.Placement(name, 64, 64, "large", 60),), 0, 0, False)
        row, column = divmod(i, layout["columns"])
        cell = sheet.crop((column * side, row * side, (column + 1) * side, (row + 1) * side)).resize((60, 60))
        opaque = np.asarray(cell)[..., 3] > 250
        drawn, meant = world.render(scene)[34:94, 34:94][opaque], np.asarray(cell)[..., :3][opaque]
        assert np.abs(drawn.astype(float) - meant).mean() < 12, name


def test_scenes_keep_their_promises() -> None:
    for scene in SCENES:
        assert 1 <= len(scene.things) <= MAX_KINDS and len(scene.placements) <= MAX_SPRITES
        assert sum(scene.counts.values()) == len(scene.placements)
        assert all(p.size == scene.sizes[p.thing] for p in scene.placements)
        assert scene.groups == tuple(world.THINGS[name].group for name in scene.things)


def test_sprites_lie_inside_and_do_not_overlap() -> None:
    for scene in SCENES:
        drawn = np.zeros((world.SIDE, world.SIDE), int)
        for p in scene.placements:
            top, left = p.y - p.pixels // 2, p.x - p.pixels // 2
            assert min(top, left) >= 0 and max(top, left) + p.pixels <= world.SIDE
            drawn[top : top + p.pixels, left : left + p.pixels] += 1
        assert drawn.max() == 1


def test_a_picture_differs_from_its_background_at_the_sprites_and_nowhere_else() -> None:
    for scene in SCENES[:100]:
        empty = backgrounds.canvas(scene.background, scene.variant)[:, scene.shift : scene.shift + world.SIDE]
        empty = empty[:, ::-1] if scene.mirrored else empty
        changed = (world.render(scene) != empty).any(axis=2)
        for p in scene.placements:
            box = np.s_[
                p.y - p.pixels // 2 : p.y - p.pixels // 2 + p.pixels,
                p.x - p.pixels // 2 : p.x - p.pixels // 2 + p.pixels,
            ]
            assert changed[box].mean() > 0.08, p
            changed[box] = False
        assert not changed.any()


def test_backgrounds_can_be_told_apart_by_colour() -> None:
    means = {
        b: [backgrounds.canvas(b, v).reshape(-1, 3).mean(0) for v in range(backgrounds.VARIANTS)]
        for b in world.BACKGROUNDS
    }
    centres = {b: np.mean(m, axis=0) for b, m in means.items()}
    nearest = {b: [min(centres, key=lambda c: np.linalg.norm(centres[c] - v)) for v in m] for b, m in means.items()}
    assert all(set(found) == {b} for b, found in nearest.items())


def test_captions_name_the_things_and_the_background_and_nothing_else() -> None:
    for i, scene in enumerate(SCENES):
        texts = world.captions(scene, world.stream("test", i), 5)
        assert len(set(texts)) == 5
        for text in texts:
            assert things_in(text) == set(scene.things), text
            assert set(words_of(text)) & set(world.BACKGROUNDS) == {scene.background}, text


def test_captions_count_and_size_truthfully() -> None:
    numbers = {"a": 1, "an": 1, "two": 2, "three": 3}
    sizes = {"big": "large", "large": "large", "huge": "large", "small": "small", "little": "small", "tiny": "small"}
    seen = 0
    for i, scene in enumerate(SCENES):
        for text in world.captions(scene, world.stream("truth", i), 5):
            for number, adjective, noun in re.findall(rf"\b({'|'.join(numbers)}) (?:({'|'.join(sizes)}) )?(\w+)", text):
                if noun in _THING_OF:
                    name = _THING_OF[noun]
                    assert scene.counts[name] == numbers[number], text
                    assert not adjective or scene.sizes[name] == sizes[adjective], text
                    seen += bool(adjective)
    assert seen > 300


def test_captions_place_things_truthfully() -> None:
    told = 0
    for i, scene in enumerate(SCENES):
        for text in world.captions(scene, world.stream("place", i), 5):
            found = re.search(r"(\w+) (?:to the )?(left of|right of|above|below) an? (?:\w+ )?(\w+) ?", text)
            if found and scene.relation:
                first = _THING_OF[found[1]]
                opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
                word = scene.relation.word if first == scene.relation.subject else opposite[scene.relation.word]
                assert found[2] == word, text
                told += 1
            if match := re.search(r"(?:on|in) the (left|right|middle|centre)\b", text):
                third = int(scene.placements[0].x * 3 / world.SIDE)
                assert ("left", "middle", "right")[third] == match[1].replace("centre", "middle"), text
    assert told > 50


def test_relations_hold_in_the_picture() -> None:
    seen = set()
    for scene in SCENES:
        if scene.relation is None:
            continue
        first, second = (
            next(p for p in scene.placements if p.thing == n) for n in (scene.relation.subject, scene.relation.object)
        )
        holds = {
            "left of": first.x < second.x,
            "right of": first.x > second.x,
            "above": first.y < second.y,
            "below": first.y > second.y,
        }
        assert holds[scene.relation.word]
        seen.add(scene.relation.word)
    assert seen == {"left of", "right of", "above", "below"}


def test_answers_are_true() -> None:
    for i, scene in enumerate(SCENES):
        question, answer = world.questions(scene, world.stream("ask", i))
        asked = things_in(question)
        if question.startswith("how many"):
            assert answer == ("none", "one", "two", "three")[scene.counts.get(*asked, 0)]
        elif question.startswith("is there"):
            assert answer == ("yes" if asked <= set(scene.things) else "no")
        elif question.startswith("what kind"):
            assert answer.split(" ", 1)[1] == world.THINGS[asked.pop()].group
        elif question in ("what is in the picture?", "what can you see?", "what things are there?"):
            assert things_in(answer) == set(scene.things)


def test_the_benchmark_has_unique_captions_and_grows_by_appending() -> None:
    items = list(world.captioned("test", 1000))
    texts = [text for item in items for text in item.captions]
    assert len(texts) == 2000 == len(set(texts))
    assert items[:50] == list(world.captioned("test", 50))
    assert all(item.scene == world.scene("test", item.index) for item in items)


def _difference(triple: world.Composed) -> list[str]:
    """Which of background, things, counts and sizes the target changes."""
    a, b = triple.reference, triple.target
    pairs = {
        "background": (a.background, b.background),
        "things": (set(a.things), set(b.things)),
        "counts": (a.counts, b.counts),
        "sizes": (
            {n: s for n, s in a.sizes.items() if n in b.sizes},
            {n: s for n, s in b.sizes.items() if n in a.sizes},
        ),
    }
    return [name for name, (before, after) in pairs.items() if before != after]


def test_a_composed_target_is_what_the_text_asks_for() -> None:
    kinds = set()
    for triple in world.composed_set("test", 300):
        changed, words = _difference(triple), set(words_of(triple.text))
        gone, new = (
            set(triple.reference.things) - set(triple.target.things),
            set(triple.target.things) - set(triple.reference.things),
        )
        kinds.add((tuple(changed), len(gone), len(new)))
        if changed == ["background"]:
            assert triple.target.background in words and triple.target.placements == triple.reference.placements
        else:
            assert triple.target.background == triple.reference.background
        assert gone | new <= things_in(triple.text), triple.text
        if not gone and not new and changed == ["counts"]:
            more = [n for n, k in triple.target.counts.items() if k == triple.reference.counts[n] + 1]
            assert things_in(triple.text) == set(more) and words & {"two", "three"}
    assert len(kinds) == 6, kinds  # elsewhere, instead, without, added, recounted, resized


def test_composed_targets_are_scenes_that_can_be_drawn() -> None:
    for triple in world.composed_set("support", 200):
        assert len(triple.target.placements) <= MAX_SPRITES and len(triple.target.things) <= MAX_KINDS
        assert not np.array_equal(world.render(triple.target), world.render(triple.reference))


def test_captions_stay_unique_over_many_items() -> None:
    texts = [text for item in world.captioned("train", 5_000) for text in item.captions]
    assert len(set(texts)) == 10_000
