"""SAEs of the hub and of sae-lens's list, with stand-ins for both: what is asked of them, and one line for whatever
goes wrong."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import sae_lens
import torch
from huggingface_hub import errors

from core.config import SaeSpec
from core.errors import SaeError, ShapeMismatch
from core.models import ModelFacts
from core.progress import NoProgress
from core.records import EmbeddingView
from core.sae import SaeEncoder, check_source, obtain
from core.sae.files import CONFIG, WEIGHTS
from core.sae.hub import Release, ask_once, fetch, parse_release, sae_files
from core.sae.located import Listed, SaeFolder
from core.sae.sources import locate
from core.store import Folder, Store

client: Any = importlib.import_module(errors.HfHubHTTPError.__mro__[1].__module__.partition(".")[0])
"""The http library of this huggingface_hub."""

D, C, K = 8, 20, 3
FACTS = ModelFacts("tiny", "dual", "0" * 16, "/nowhere", "", "clip", D, 0, "float32", "")
OWNER = "someone/saes"
LISTED = "gpt2-small-res-jb"  # a release in sae-lens's list, with this SAE
LISTED_ID = "blocks.8.hook_resid_pre"


def example(**conventions: Any) -> Any:
    torch.manual_seed(0)
    sae = sae_lens.TopKSAE(sae_lens.TopKSAEConfig(d_in=D, d_sae=C, k=K, **conventions))
    with torch.no_grad():
        sae.W_dec *= torch.linspace(0.3, 3, C)[:, None]
        sae.b_dec += torch.randn(D)
    return sae


def checkpoint(path: Path, size: int = D) -> Path:
    """As the study releases them."""
    names = {
        "encoder.final_block.0.weight": (C, size),
        "encoder.final_block.0.bias": (C,),
        "dictionary._weights": (C, size),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model_state": {name: torch.randn(shape) for name, shape in names.items()}}, path)
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the repository."""
    root = tmp_path / "hub"
    root.mkdir()

    def download(repository: str, file: str) -> str:
        assert repository == OWNER
        if not (root / file).is_file():
            raise errors.RemoteEntryNotFoundError("404", response=_response(404))
        return str(root / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    names = lambda repository: [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]  # noqa: E731
    monkeypatch.setattr(huggingface_hub, "list_repo_files", names)
    return root


def get(spec: SaeSpec, store: Store) -> Folder:
    corpus = SimpleNamespace(name="made", items=lambda part: range(4))
    return obtain(spec, corpus, FACTS, lambda: None, {}, EmbeddingView(), store, NoProgress())[0]  # type: ignore[arg-type]


def test_a_checkpoint_of_the_study_by_its_address(hub: Path, tmp_path: Path) -> None:
    checkpoint(hub / "qwen2" / "sae.pt")
    folder = get(SaeSpec(source=f"hf:{OWNER}/qwen2/sae.pt", k=K), Store(tmp_path / "cache"))
    assert (folder.facts["k"], folder.facts["hidden_size"], folder.facts["source"]) == (
        K,
        D,
        f"hf:{OWNER}/qwen2/sae.pt",
    )


@pytest.mark.parametrize("place", ["deep/inside", "."])
def test_a_folder_of_sae_lens_by_its_address(hub: Path, tmp_path: Path, place: str) -> None:
    example().save_model(hub / place)
    assert fetch(f"{OWNER}/{place}") == hub / place
    assert get(SaeSpec(source=f"hf:{OWNER}/{place}"), Store(tmp_path / "cache")).facts["k"] == K


def test_a_repository_without_a_file_is_answered_with_the_saes_there_are(hub: Path) -> None:
    checkpoint(hub / "clip.pt")
    example().save_model(hub / "layers" / "27")
    (hub / "README.md").write_text("x")
    with pytest.raises(SaeError) as caught:
        locate(f"hf:{OWNER}", "tiny")
    assert str(caught.value).endswith(f"allowed: hf:{OWNER}/clip.pt, hf:{OWNER}/layers/27")


def test_files_of_a_repository_that_are_saes() -> None:
    whole = [f"a/{CONFIG}", f"a/{WEIGHTS}", CONFIG, WEIGHTS, "x/y.pth", "z.pt"]
    assert sae_files([*whole, f"half/{CONFIG}", f"other/{WEIGHTS}", "model.safetensors"]) == [
        ".",
        "a",
        "x/y.pth",
        "z.pt",
    ]


def _response(status: int) -> Any:
    return client.Response(status, request=client.Request("GET", "https://huggingface.co/x"))


FAILURES = [
    (
        lambda: errors.GatedRepoError("401\nmore", response=_response(401)),
        "is gated.*huggingface.co/someone/saes.*hf auth login",
    ),
    (lambda: errors.RepositoryNotFoundError("404\nmore", response=_response(404)), "no such repository"),
    (lambda: errors.LocalEntryNotFoundError("offline\nmore"), "cannot be reached.*hf download someone/saes"),
    (lambda: errors.OfflineModeIsEnabled("HF_HUB_OFFLINE=1"), "cannot be reached"),
    (lambda: client.ConnectError("no route"), "cannot be reached"),
    (lambda: errors.RemoteEntryNotFoundError("404\nmore", response=_response(404)), "holds no such SAE"),
    (lambda: errors.HFValidationError("bad\nmore"), "not a hub address"),
    (
        lambda: errors.HfHubHTTPError("500 Server Error\nmore", response=_response(500)),
        "cannot be fetched.*500 Server Error",
    ),
    (lambda: OSError("disk full\nmore"), "cannot be fetched.*disk full"),
]


@pytest.mark.parametrize(("error", "words"), FAILURES, ids=lambda value: value[:20] if isinstance(value, str) else "")
@pytest.mark.parametrize("address", [f"hf:{OWNER}/a.pt", f"hf:{OWNER}/folder", f"hf:{OWNER}"])
def test_each_failure_of_the_hub_is_one_line(
    monkeypatch: pytest.MonkeyPatch, address: str, error: Callable[[], Exception], words: str
) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", _raise(error))
    monkeypatch.setattr(huggingface_hub, "list_repo_files", _raise(error))
    with pytest.raises(SaeError, match=words) as caught:
        locate(address, "tiny")
    assert "\n" not in str(caught.value)
    assert address in str(caught.value)


def _raise(error: Callable[[], Exception]) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise error()

    return call


@pytest.mark.parametrize("address", [f"hf:{OWNER}/a.pt", f"hf:{OWNER}", f"sae-lens:{OWNER}/layer_1"])
def test_without_a_network_the_hub_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str) -> None:
    asked = []

    def metadata(url: str) -> None:
        asked.append(url)
        raise client.ConnectError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    for name in ("hf_hub_download", "list_repo_files"):
        monkeypatch.setattr(huggingface_hub, name, _raise(lambda: AssertionError("it would try again and again")))
    with pytest.raises(SaeError, match="the hub cannot be reached and the SAE is not in its cache"):
        locate(address, "tiny").width()
    assert len(asked) == 1


def test_a_repository_in_the_cache_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", _raise(lambda: client.ConnectError("no route")))
    with pytest.raises(client.ConnectError):
        ask_once(OWNER)
    (tmp_path / "models--someone--saes").mkdir()
    ask_once(OWNER)


@pytest.mark.parametrize("address", ["hf:", "hf:alone", "hf:/x", "hf:owner/"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SaeError, match="not a hub address"):
        locate(address, "tiny")


def test_releases_are_those_of_sae_lens_or_repositories() -> None:
    assert parse_release(f"{LISTED}/{LISTED_ID}") == Release(LISTED, LISTED_ID)
    assert parse_release("owner/name/layer_1/width_16k") == Release("owner/name", "layer_1/width_16k")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"{LISTED}/blocks.8.hook_resid_pr", f"no such SAE.*'{LISTED_ID}' \\(nearest\\)"),
        ("gpt2-small-res-jbb/blocks.8.hook_resid_pre", f"no such release.*'{LISTED}' \\(nearest\\)"),
        ("owner/name", "no such release"),
        ("", "no such release"),
    ],
)
def test_unknown_releases_are_answered_with_the_nearest(address: str, words: str) -> None:
    with pytest.raises(SaeError, match=words) as caught:
        locate(f"sae-lens:{address}", "tiny")
    assert len(str(caught.value)) < 1000


def test_a_release_goes_through_the_loader_of_sae_lens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, sae = [], example(rescale_acts_by_decoder_norm=True)
    monkeypatch.setattr(
        "sae_lens.loading.pretrained_sae_loaders.load_sae_config_from_huggingface", lambda *names: sae.cfg.to_dict()
    )
    monkeypatch.setattr(sae_lens.SAE, "from_pretrained", lambda *names, **_: asked.append(names) or sae)
    spec, store = SaeSpec(source=f"sae-lens:{LISTED}/{LISTED_ID}"), Store(tmp_path)
    folder = get(spec, store)
    assert asked == [(LISTED, LISTED_ID)]
    assert (folder.facts["k"], folder.facts["source"], folder.facts["trained_on"]) == (K, spec.source, "unknown")
    x = np.random.default_rng(0).normal(size=(9, D)).astype(np.float32)
    coded = SaeEncoder(folder.path, "raw").encode(x)
    with torch.inference_mode():
        own = sae(torch.from_numpy(x)).numpy()
    assert np.abs(coded.codes @ folder.array("dictionary") + coded.offset - own).max() < 1e-5
    assert get(spec, store).path == folder.path
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"d_in": D + 4}, f"d = {D + 4}.*d = {D}"),
        ({"architecture": "transcoder"}, "got transcoder"),
        ({"reshape_activations": "hook_z"}, "hook_z"),
    ],
)
def test_a_release_that_does_not_fit_is_refused_before_its_weights_are_fetched(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    config = example().cfg.to_dict() | change
    monkeypatch.setattr(
        "sae_lens.loading.pretrained_sae_loaders.load_sae_config_from_huggingface", lambda *names: config
    )
    with pytest.raises((SaeError, ShapeMismatch), match=words):
        check_source(SaeSpec(source=f"sae-lens:{LISTED}/{LISTED_ID}"), FACTS)


@pytest.mark.parametrize(
    ("error", "words"), [FAILURES[0], FAILURES[2], (lambda: ValueError("odd\nmore"), "cannot be fetched.*odd")]
)
def test_each_failure_of_a_release_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], words: str
) -> None:
    monkeypatch.setattr("sae_lens.loading.pretrained_sae_loaders.load_sae_config_from_huggingface", _raise(error))
    with pytest.raises(SaeError, match=words.replace(OWNER, "jbloom/GPT2-Small-SAEs-Reformatted")) as caught:
        Listed(f"sae-lens:{LISTED}/{LISTED_ID}", Release(LISTED, LISTED_ID)).width()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "checkpoint", "hub"])
def test_a_dictionary_of_another_width_is_refused_before_anything_is_encoded(
    hub: Path, tmp_path: Path, kind: str
) -> None:
    path = checkpoint(hub / "sae.pt", D + 4)
    if kind == "folder":
        sae = sae_lens.TopKSAE(sae_lens.TopKSAEConfig(d_in=D + 4, d_sae=C, k=K))
        sae.save_model(path := tmp_path / "given")
    spec = SaeSpec(source=f"hf:{OWNER}/sae.pt" if kind == "hub" else str(path))
    with pytest.raises(ShapeMismatch, match=f"d = {D + 4}.*d = {D} of tiny"):
        check_source(spec, FACTS)


def test_more_active_concepts_than_there_are_are_refused_before_anything_is_encoded(tmp_path: Path) -> None:
    with pytest.raises(SaeError, match=f"k = {C + 1}.*at most {C}"):
        check_source(SaeSpec(source=str(checkpoint(tmp_path / "sae.pt")), k=C + 1), FACTS)


def test_a_shipped_sae_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.sae.sources.SHIPPED", tmp_path)
    example().save_model(tmp_path / "sae-tiny-tokens")
    (tmp_path / "sae-tiny-tokens" / "facts.json").write_text('{"source": "shipped with tiny", "input": "normalised"}')
    facts = get(SaeSpec(source="shipped:tiny-tokens"), Store(tmp_path / "cache")).facts
    assert (facts["source"], facts["input"]) == ("shipped with tiny (sae-tiny-tokens)", "normalised")


def test_nothing_is_asked_for_what_needs_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.sae.sources.locate", _raise(AssertionError))
    for source in ("train", "none"):
        check_source(SaeSpec(source=source), FACTS)


def test_a_pipeline_says_so_before_it_reads_the_corpus(tmp_path: Path) -> None:
    from core import pipeline
    from core.config import CorpusSpec, ModelSpec, RunSpec

    example().save_model(tmp_path / "given")
    spec = RunSpec(
        corpus=CorpusSpec(source="demo"), model=ModelSpec(name="demo-clip"), sae=SaeSpec(source=str(tmp_path / "given"))
    )
    with pytest.raises(ShapeMismatch, match=f"d = {D}.*d = 128 of demo-clip"):
        pipeline.run(spec, Store(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_shipped_saes_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.sae import shipped_saes

    monkeypatch.setattr("core.sae.sources.SHIPPED", tmp_path)
    for name in ("sae-m", "sae-m-seed1", "sae-m-tokens", "sae-other"):
        example().save_model(tmp_path / name)
    example().save_model(tmp_path / "sae-m-two")  # of another model, whose name begins with this one's
    (tmp_path / "sae-m-two" / "facts.json").write_text('{"model": "m-two"}')
    shutil.copytree(tmp_path / "sae-m", tmp_path / "sae-m-broken")
    (tmp_path / "sae-m-broken" / CONFIG).unlink()
    assert list(shipped_saes("m")) == ["m", "m-seed1", "m-tokens"]
    assert locate("shipped:m-tokens", "m") == SaeFolder("shipped:m-tokens", tmp_path / "sae-m-tokens")
    assert {locate(source, "m").path for source in ("shipped", "shipped:m")} == {tmp_path / "sae-m"}
    with pytest.raises(SaeError, match=r"got 'm-token'; allowed: 'm-tokens' \(nearest\), 'm', 'm-seed1'"):
        locate("shipped:m-token", "m")
    with pytest.raises(SaeError, match="no SAE is shipped for unknown"):
        locate("shipped:m", "unknown")


def test_the_demo_models_ship_theirs() -> None:
    from core.sae import shipped_saes

    for name, size in (("demo-mllm", 256), ("demo-mllm-captioner", 256), ("demo-clip", 128)):
        found = shipped_saes(name)
        assert next(iter(found)) == name
        assert {locate(str(path), name).width() for path in found.values()} == {size}
