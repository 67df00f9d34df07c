"""Changes within the model, against the layers run by hand: states up to the layer, the change, the rest of the
layers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import NotAvailable
from core.models.answer import WORD_VIEWS
from core.models.inside import Intervention, intervened
from core.records import EmbeddingView, StatePlace
from core.sae.inside import ConceptShift, TokenCodes

D, C = 32, 24
MEAN, ANSWER = EmbeddingView(), EmbeddingView(-1, "answer")
MIDDLE, FIRST = EmbeddingView(2), EmbeddingView(0)


@pytest.fixture(scope="module", params=["topk", "jumprelu", "layer_norm", "normalised"])
def sae(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A tiny random SAE of several kinds, saved as sae-lens does, and what it takes as input."""
    import sae_lens as lens

    torch.manual_seed(3)
    common = {"d_in": D, "d_sae": C, "apply_b_dec_to_input": True}
    common["normalize_activations"] = "layer_norm" if request.param == "layer_norm" else "none"
    if request.param == "jumprelu":
        one = lens.JumpReLUSAE(lens.JumpReLUSAEConfig(**common))
    else:
        one = lens.TopKSAE(lens.TopKSAEConfig(**common, k=16, rescale_acts_by_decoder_norm=False))
    with torch.no_grad():
        for name, values in one.named_parameters():
            values.copy_(torch.rand_like(values) if name == "threshold" else torch.randn_like(values))
            # so that every concept fires on something
            values.mul_(0.1 if name == "b_dec" else 1.0).add_(1.0 if name == "b_enc" else 0.0)
    folder = tmp_path_factory.mktemp("sae") / request.param
    one.save_model(folder)
    return folder, "normalised" if request.param == "normalised" else "raw"


def by_definition(folder: Path, input_: str, h: torch.Tensor, changes: dict[int, tuple[str, float]]) -> torch.Tensor:
    """h + sum_k (z'_k - z_k) D_k of one state, through sae-lens's own decoder alone: the change of its output when z_k
    is changed is what the change of the concept adds."""
    from sae_lens import SAE

    one = SAE.load_from_disk(folder, dtype="float32").eval()
    scale = h.norm() if input_ == "normalised" else torch.tensor(1.0)
    z = one.encode((h / scale)[None])

    def decoded(codes: torch.Tensor) -> torch.Tensor:
        one.encode((h / scale)[None])  # an SAE that normalises remembers the factors of its last call, for one decoding
        return one.decode(codes.clone())[0] * scale

    changed = z.clone()
    for k, (kind, value) in changes.items():
        if kind == "factor":
            changed[0, k] *= value
        else:  # in embedding units: what the decoder adds for this concept has length `value`
            unit = torch.zeros_like(z)
            unit[0, k] = 1.0
            changed[0, k] = value / (decoded(unit) - decoded(torch.zeros_like(z))).norm()
    return h + (decoded(changed) - decoded(z))


CHANGES = {3: ("factor", 0.0), 7: ("factor", 2.5), 11: ("value", 0.8)}


def shift_of(sae: tuple[Path, str]) -> ConceptShift:
    return ConceptShift(*sae, [(3, 0.0), (7, 2.5)], [(11, 0.8)])


def test_the_shift_is_that_of_the_decoder_alone(sae: tuple[Path, str]) -> None:
    torch.manual_seed(0)
    states = torch.randn(40, D) * 3
    with torch.inference_mode():
        expected = torch.stack([by_definition(*sae, h, CHANGES) for h in states])
        got = states + shift_of(sae)(states)
    assert (TokenCodes(*sae, [3, 7, 11])(states) > 0).any(0).tolist() == [True] * 3, "every concept fires somewhere"
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [0, 1, 2, 3, -1])
def test_states_are_those_of_the_layers_run_by_hand(llava, mixed, sae: tuple[Path, str], layer: int) -> None:
    """One item without and one with a picture, alone, so that nothing is padded."""
    shift = shift_of(sae)
    other = intervened(llava, [Intervention(StatePlace(layer), "all", shift)], "changed")
    for item in (mixed[0], mixed[1]):
        got = other.embed([item], [MEAN, FIRST, MIDDLE])
        inputs, _, _ = llava.inputs([item])
        with torch.inference_mode():
            whole = llava.model.base_model(**inputs, use_cache=False, output_hidden_states=True, return_dict=True)
            h, decoder = whole.hidden_states[0], llava.model.get_decoder()
            at = torch.arange(h.shape[1])[None]
            rotary = decoder.rotary_emb(h, at)
            mask = torch.full((1, 1, h.shape[1], h.shape[1]), float("-inf")).triu(1)
            seen = {}
            for entry in range(4):
                h = h + shift(h[0])[None] if entry == layer % 4 and layer not in (3, -1) else h
                seen[entry] = h
                if entry < 3:
                    h = decoder.layers[entry](h, attention_mask=mask, position_ids=at, position_embeddings=rotary)
                    h = h[0] if isinstance(h, tuple) else h
            last = decoder.norm(h)
            last = last + shift(last[0])[None] if layer in (3, -1) else last
        for view, expected in ((MEAN, last), (FIRST, seen[0]), (MIDDLE, seen[2])):
            np.testing.assert_allclose(got[view][0], expected[0].mean(0).numpy(), rtol=2e-4, atol=2e-4)
        assert not np.allclose(got[MEAN], llava.embed([item], [MEAN])[MEAN], atol=1e-3), "the change changes something"


@pytest.mark.parametrize("tokens", ["all", "image", "text", "prompt"])
def test_a_factor_of_one_changes_no_bit(llava, mixed, sae: tuple[Path, str], tokens: str) -> None:
    shift = ConceptShift(*sae, [(3, 1.0), (7, 1.0)])
    same = intervened(llava, [Intervention(StatePlace(n), tokens, shift) for n in (0, 2, -1)], "same")
    views = [MEAN, MIDDLE, ANSWER, WORD_VIEWS["answer"]]
    before, after = llava.embed(mixed, views), same.embed(mixed, views)
    for view in views:
        assert before[view].tobytes() == after[view].tobytes()
    assert same.generate(mixed[1], "What is it?", 8) == llava.generate(mixed[1], "What is it?", 8)


@pytest.mark.parametrize("tokens", ["image", "text", "prompt"])
def test_only_tokens_of_the_role_are_changed(llava, mixed, sae: tuple[Path, str], tokens: str) -> None:
    place = StatePlace(2)
    other = intervened(llava, [Intervention(place, tokens, shift_of(sae))], "changed")
    before, after = llava.token_states(mixed, place), other.token_states(mixed, place)
    chosen = np.array([role == tokens for role in before.role])
    assert before.states[~chosen].tobytes() == after.states[~chosen].tobytes()
    moved = np.abs(before.states[chosen] - after.states[chosen]).max(axis=1) > 0
    assert chosen.any() and moved.mean() > 0.5
    # and the change reaches the others further on, for a causal model at least the last token
    last = StatePlace(-1)
    final = [one.token_states([mixed[2]], last).states[-1] for one in (llava, other)]
    assert not np.array_equal(*final)


def test_a_batch_gives_what_single_items_give(llava, mixed, sae: tuple[Path, str]) -> None:
    for tokens in ("all", "text"):
        other = intervened(llava, [Intervention(StatePlace(1), tokens, shift_of(sae))], "changed")
        rows = other.embed(mixed, [MEAN, ANSWER])
        for view in (MEAN, ANSWER):
            one_by_one = np.concatenate([other.embed([item], [view])[view] for item in mixed])
            np.testing.assert_allclose(rows[view], one_by_one, rtol=1e-3, atol=1e-3)


def test_the_model_speaks_under_the_change_and_is_as_before_after_it(llava, mixed, sae: tuple[Path, str]) -> None:
    modules = list(llava.model.modules())
    before = llava.generate_all(mixed, "What is it?", 6)
    hooks = [(len(one._forward_hooks), len(one._forward_pre_hooks)) for one in modules]
    loud = ConceptShift(*sae, [], [(11, 300.0)])
    other = intervened(llava, [Intervention(StatePlace(2), "all", loud)], "changed")
    assert other.generate_all(mixed, "What is it?", 6) != before
    assert llava.generate_all(mixed, "What is it?", 6) == before
    assert [(len(one._forward_hooks), len(one._forward_pre_hooks)) for one in modules] == hooks, "none is left behind"


def test_words_under_a_change_of_the_last_layer_are_those_of_the_changed_state(llava, mixed, sae) -> None:
    """The unembedding reads the changed state: logits by hand from the answer state."""
    other = intervened(llava, [Intervention(StatePlace(-1), "all", shift_of(sae))], "changed")
    view = WORD_VIEWS["answer"]
    got = other.embed(mixed[:1], [ANSWER, view])
    with torch.inference_mode():
        logits = llava.model.get_output_embeddings()(torch.from_numpy(got[ANSWER]))
        p = logits.softmax(1)[0].numpy()
    words = got[view][0]
    np.testing.assert_allclose(words["weight"] ** 2, p[words["id"]], rtol=1e-3, atol=1e-6)


def test_a_dual_encoder_is_refused(clip) -> None:
    with pytest.raises(NotAvailable, match="no states that could be changed"):
        intervened(clip, [], "x")
