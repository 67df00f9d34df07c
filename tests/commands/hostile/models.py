"""Dictionaries and models: pickles, broken settings, weights that do not fit."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np

from hostile.cases import DEEP, Words, case, run, text_of

# Dictionaries


def with_sae(at: Path, name: str, content: bytes | None) -> Words:
    if content is not None:
        (at / name).write_bytes(content)
    return run(at, sae=f"source = {text_of(str(at / name))}\nwidth = 8\nk = 2")


class RunsCode:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch code-was-run",))


def zipped(at: Path, content: bytes) -> bytes:
    with zipfile.ZipFile(at / "x.zip", "w") as archive:
        archive.writestr("x/data.pkl", content)
        archive.writestr("x/version", "3\n")
        archive.writestr("x/byteorder", "little")
    return (at / "x.zip").read_bytes()


PICKLE = ("x.pt cannot be read safely", "system", "asks to run code")


@case(1, *PICKLE)
def a_pickle_that_runs_code(at: Path) -> Words:
    return with_sae(at, "x.pt", pickle.dumps({"model_state": RunsCode()}, 2))


@case(1, *PICKLE)
def a_zipped_pickle_that_runs_code(at: Path) -> Words:
    return with_sae(at, "x.pt", zipped(at, pickle.dumps({"model_state": RunsCode()}, 2)))


@case(1, *PICKLE)
def a_pickle_of_the_newest_protocol_that_runs_code(at: Path) -> Words:
    return with_sae(at, "x.pt", zipped(at, pickle.dumps({"model_state": RunsCode()}, 5)))


for _name, _content in {
    "text": b"width: 4\n", "nothing": b"", "noise": bytes(range(256)) * 8,
    "a_broken_archive": b"PK\x03\x04" + b"x" * 99,
    "a_plain_pickle": pickle.dumps([1], 2), "a_cut_pickle": pickle.dumps({"a": 1}, 2)[:-3],
}.items():  # fmt: skip

    def _checkpoint(at: Path, content: bytes = _content) -> Words:
        return with_sae(at, "x.pt", content)

    _checkpoint.__name__ = f"a_pt_file_of_{_name}"
    case(1, "x.pt", "allowed")(_checkpoint)


@case(1, "x.pt", "no regular file")
def a_fifo_for_a_checkpoint(at: Path) -> Words:
    os.mkfifo(at / "x.pt")
    return with_sae(at, "x.pt", None)


def sae_folder(at: Path, config: bytes = b"", facts: bytes | None = None, weights: bytes | None = None) -> Words:
    from safetensors.numpy import save

    root = at / "sae"
    root.mkdir()
    sound = {"architecture": "topk", "d_in": 4, "d_sae": 8, "k": 2, "dtype": "float32", "device": "cpu"}
    sound |= {"apply_b_dec_to_input": False, "normalize_activations": "none", "reshape_activations": "none"}
    sound |= {"rescale_acts_by_decoder_norm": False, "metadata": {}}
    (root / "cfg.json").write_bytes(config or json.dumps(sound).encode())
    eye = np.vstack([np.eye(4), -np.eye(4)]).astype(np.float32)
    arrays = {"W_enc": np.ascontiguousarray(eye.T), "b_enc": np.zeros(8, np.float32), "W_dec": eye}
    arrays |= {"b_dec": np.zeros(4, np.float32)}
    (root / "sae_weights.safetensors").write_bytes(save(arrays) if weights is None else weights)
    if facts is not None:
        (root / "facts.json").write_bytes(facts)
    return with_sae(at, "sae", None)


@case(0, "next: retrieval-lens evaluate")
def a_sound_dictionary(at: Path) -> Words:
    return sae_folder(at)


@case(1, "cfg.json", "nested")
def a_dictionary_whose_configuration_is_nested_deeply(at: Path) -> Words:
    return sae_folder(at, b"[" * DEEP)


@case(1, "cfg.json")
def a_dictionary_whose_configuration_is_a_list(at: Path) -> Words:
    return sae_folder(at, b"[]")


@case(1, "cfg.json", "UTF-8")
def a_dictionary_whose_configuration_is_no_utf_8(at: Path) -> Words:
    return sae_folder(at, b'{"\xff": 1}')


@case(1, "facts.json")
def a_dictionary_whose_facts_are_broken(at: Path) -> Words:
    return sae_folder(at, facts=b'{"k": ')


@case(1, "facts.json")
def a_dictionary_whose_facts_are_a_list(at: Path) -> Words:
    return sae_folder(at, facts=b"[1]")


@case(1, "sae_weights.safetensors")
def a_dictionary_whose_weights_are_text(at: Path) -> Words:
    return sae_folder(at, weights=b"no weights")


@case(1, "sae")
def a_dictionary_without_weights(at: Path) -> Words:
    from safetensors.numpy import save

    return sae_folder(at, weights=save({"W_dec": np.ones((8, 4), np.float32)}))


@case(1, "sae", "W_enc", "3, 3")
def a_dictionary_whose_weights_do_not_fit(at: Path) -> Words:
    from safetensors.numpy import save

    ones = {
        name: np.ones(shape, np.float32) for name, shape in {"W_enc": (3, 3), "b_enc": (2,), "W_dec": (8, 4)}.items()
    }
    return sae_folder(at, weights=save(ones | {"b_dec": np.ones(4, np.float32)}))


@case(1, "sae", "NaN")
def a_dictionary_of_nan(at: Path) -> Words:
    from safetensors.numpy import save

    ones = {"W_enc": (4, 8), "b_enc": (8,), "W_dec": (8, 4), "b_dec": (4,)}
    return sae_folder(at, weights=save({n: np.full(s, np.nan, np.float32) for n, s in ones.items()}))


@case(1, "hub")
def a_hub_address_of_odd_characters(at: Path) -> Words:
    return run(at, sae=f'source = "hf:{"a" * 300}/b/c.pt"')


# Models


def with_model(at: Path, config: bytes) -> Words:
    folder = at / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(config)
    path = at / "run.toml"
    path.write_text('[corpus]\nsource = "demo"\n[model]\nname = "model"\n')
    return ("run", path)


@case(1, "model")
def a_model_whose_configuration_is_nested_deeply(at: Path) -> Words:
    return with_model(at, b"[" * DEEP)


@case(1, "model")
def a_model_whose_configuration_is_no_json(at: Path) -> Words:
    return with_model(at, b"{")


@case(1, "model")
def a_model_whose_configuration_is_a_list(at: Path) -> Words:
    return with_model(at, b"[]")
