"""Specs: numbers beyond their bounds, broken TOML, names and paths that cannot be."""

from __future__ import annotations

import os
from pathlib import Path

from hostile.cases import DEEP, ESCAPE, LONG, Words, case, run, text_of

# Numbers of a spec


@case(1, "sae.width", "2000000000", "allowed")
def width_of_two_thousand_million(at: Path) -> Words:
    return run(at, sae="width = 2000000000")


@case(1, "sae.width", "2000000000.0", "allowed")
def width_as_a_float(at: Path) -> Words:
    return run(at, sae="width = 2e9")


@case(1, "memory", "width", "next")
def width_beyond_the_memory(at: Path) -> Words:
    return run(at, sae="width = 4000000\nwidths = [3999999, 3999998, 3999997]\nbatch = 1000000")


@case(1, "sae.batch", "allowed")
def batch_of_a_hundred_thousand_million(at: Path) -> Words:
    return run(at, sae="batch = 100000000000")


@case(1, "sae.batch", "allowed")
def batch_as_a_float(at: Path) -> Words:
    return run(at, sae="batch = 1e11")


@case(1, "sae.steps", "allowed")
def steps_without_end(at: Path) -> Words:
    return run(at, sae="steps = 10000000000000")


@case(1, "sae.seed", "allowed")
def seed_as_a_float(at: Path) -> Words:
    return run(at, sae="seed = 1e23")


@case(1, "sae.seed", "allowed")
def seed_of_24_digits(at: Path) -> Words:
    return run(at, sae=f"seed = {10**23}")


@case(1, "sae.learning_rate", "allowed")
def learning_rate_infinite(at: Path) -> Words:
    return run(at, sae="learning_rate = inf")


@case(1, "sae.learning_rate", "allowed")
def learning_rate_nan(at: Path) -> Words:
    return run(at, sae="learning_rate = nan")


@case(1, "sae.learning_rate", "allowed")
def learning_rate_zero(at: Path) -> Words:
    return run(at, sae="learning_rate = 0")


@case(1, "whitening.eps", "allowed")
def eps_infinite(at: Path) -> Words:
    return run(at, "[whitening]\neps = inf")


@case(1, "whitening.eps", "allowed")
def eps_nan(at: Path) -> Words:
    return run(at, "[whitening]\neps = nan")


@case(1, "whitening.eps", "allowed")
def eps_of_300_digits(at: Path) -> Words:
    return run(at, "[whitening]\neps = 1e300")


@case(1, "corpus.limit", "allowed")
def limit_beyond_everything(at: Path) -> Words:
    return run(at, corpus=f"limit = {10**30}")


@case(1, "memory", "items", "next")
def a_demo_world_of_a_thousand_million_images(at: Path) -> Words:
    path = at / "run.toml"
    path.write_text('[corpus]\nsource = "demo"\nlimit = 1000000000\n[model]\nname = "demo-clip"\n')
    return ("run", path)


@case(1, "embedding.batch_tokens", "allowed")
def batch_tokens_beyond_everything(at: Path) -> Words:
    return run(at, f"[embedding]\nbatch_tokens = {10**18}")


@case(1, "embedding.layers", "allowed")
def a_layer_of_30_digits(at: Path) -> Words:
    return run(at, f"[embedding]\nlayers = [{10**30}]")


@case(1, "sae.widths", "allowed")
def thousands_of_widths(at: Path) -> Words:
    return run(at, sae=f"widths = {list(range(2, 5000))}\nk = 2")


@case(1, "sae.k", "allowed")
def a_k_of_30_digits(at: Path) -> Words:
    return run(at, sae=f"ks = [{10**30}]")


# Text of a spec


@case(1, "run.toml", "nested", "next")
def toml_nested_deeply(at: Path) -> Words:
    return run(at, f"x = {'[' * DEEP}{']' * DEEP}")


@case(1, "run.toml", "is not TOML")
def toml_number_of_6000_digits(at: Path) -> Words:
    return run(at, sae=f"width = {'9' * 6000}")


@case(1, "sae.width", "out of range")
def toml_hexadecimal_number_of_6000_digits(at: Path) -> Words:
    return run(at, sae=f"width = 0x{'f' * 6000}")


@case(1, "sae.width", "wrong type")
def a_date_for_a_number(at: Path) -> Words:
    return run(at, sae="width = 2026-12-01")


@case(1, "[corpus]")
def corpus_as_a_list_of_tables(at: Path) -> Words:
    path = at / "run.toml"
    path.write_text('[[corpus]]\nsource = "demo"\n[model]\nname = "demo-clip"\n')
    return ("run", path)


@case(0, "own")
def a_byte_order_mark_before_the_spec(at: Path) -> Words:
    words = run(at, top='name = "own"')
    path = at / "run.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return words


@case(1, "run.toml", "UTF-8")
def a_spec_in_utf_16(at: Path) -> Words:
    words = run(at)
    path = at / "run.toml"
    path.write_bytes(path.read_text().encode("utf-16"))
    return words


@case(1, "no regular file")
def a_fifo_for_a_spec(at: Path) -> Words:
    os.mkfifo(at / "run.toml")
    return ("run", at / "run.toml")


@case(1, "no regular file")
def a_device_for_a_spec(at: Path) -> Words:
    return ("run", "/dev/zero")


@case(1, "no regular file")
def a_folder_for_a_spec(at: Path) -> Words:
    return ("run", at)


@case(1, "no such spec file")
def an_overlong_path_for_a_spec(at: Path) -> Words:
    return ("run", f"{LONG}.toml")


@case(2, "null byte")
def a_spec_whose_name_holds_nul(at: Path) -> Words:
    return ("run", "a\0b.toml")


@case(1, "no such spec file")
def a_spec_whose_name_is_no_utf_8(at: Path) -> Words:
    return ("run", os.fsdecode(b"\xff.toml"))


@case(1, "MiB")
def a_spec_of_many_mebibytes(at: Path) -> Words:
    return run(at, "#" * 5_000_000)


for _name, _value in {
    "nul": "a\0b", "escape": f"a{ESCAPE}b", "a_line_break": "a\nb", "a_slash": "a/b", "dots": "..", "nothing": "",
    "81_characters": "a" * 81, "a_dash_in_front": "-a", "a_blank": "a b", "a_bidi_mark": "a\u202eb",
}.items():  # fmt: skip

    def _named(at: Path, value: str = _value) -> Words:
        return run(at, top=f"name = {text_of(value)}")

    _named.__name__ = f"a_run_named_with_{_name}"
    case(1, "name of a run", "allowed", "[A-Za-z0-9_]")(_named)


@case(0, "A_b.c-9")
def a_run_named_with_all_that_is_allowed(at: Path) -> Words:
    return run(at, top='name = "A_b.c-9"')


@case(0, "own-embeddings-nter-sand-yyyyyyyyyyyyyyyyyyyyyyyyyy-task4")
def a_run_named_after_a_folder_with_odd_characters(at: Path) -> Words:
    words = run(at)
    odd = at / f"ünter sand & {'y' * 200}"
    (at / "own").rename(odd)
    path = at / "run.toml"
    path.write_text(path.read_text().replace(text_of(str(at / "own")), text_of(str(odd))))
    return words


for _section, _key in (("corpus", "path"), ("model", "name"), ("model", "revision"), ("sae", "source")):
    for _kind, _value in {"nul": "a\0b", "5000_characters": LONG}.items():

        def _worded(at: Path, section: str = _section, key: str = _key, value: str = _value) -> Words:
            spec = {"corpus": {"source": "folder", "path": "p"}, "model": {"name": "demo-clip"}}
            spec[section] = spec.get(section, {}) | {key: value}
            rows = [f"[{s}]\n" + "\n".join(f"{k} = {text_of(v)}" for k, v in keys.items()) for s, keys in spec.items()]
            (at / "run.toml").write_text("\n".join(rows))
            return ("run", at / "run.toml")

        _worded.__name__ = f"{_kind}_in_{_section}_{_key}"
        case(1, f"{_section}.{_key}", "allowed")(_worded)


@case(1, "variants", "allowed")
def a_variant_whose_name_holds_escapes(at: Path) -> Words:
    return run(at, f'[variants]\n{text_of(ESCAPE)} = "center"')


@case(1, "variant")
def a_variant_of_many_brackets(at: Path) -> Words:
    return run(at, f'[variants]\nmine = "realign{"(" * 4000}"')


@case(1, "variant")
def a_variant_that_removes_a_concept_of_6000_digits(at: Path) -> Words:
    return run(at, f'[variants]\nmine = "remove({"9" * 6000})"')
