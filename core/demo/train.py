"""Train the two demo models: `python -m core.demo.train {clip,mllm,evaluate}`.

In:  nothing but the demo world; a working folder for checkpoints.
Out: `save_pretrained` folders under core/demo/weights/ and, from `evaluate`, the figures of the shipped files.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer

from core.demo import cards, contrastive, examination, figures, generative, loop, models, shipping, tokens

log = logging.getLogger("core.demo.train")
app = typer.Typer(add_completion=False, help=__doc__)
Work = Annotated[Path, typer.Option(help="Folder for checkpoints; a run found there is resumed.")]
Seed = Annotated[int, typer.Option(help="Seed of the initial weights. Data depends on the step alone.")]
CLIP_STEPS, CLIP_BATCH, CLIP_RATE = 900, 256, 1e-3
MLLM_STEPS, MLLM_BATCH, MLLM_RATE = 8500, 64, 1.35e-3


@app.callback()
def _commands() -> None:
    """Keeps `clip` a command of its own however few commands there are."""


def _begin(seed: int) -> None:
    """Logging and seed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    torch.manual_seed(seed)


@app.command()
def clip(
    work: Work = Path("cache/demo-training"),
    steps: int = CLIP_STEPS,
    batch: int = CLIP_BATCH,
    rate: float = CLIP_RATE,
    seed: Seed = 0,
) -> None:
    """Train demo-clip contrastively and export it."""
    _begin(seed)
    processor = tokens.clip_processor()
    model = models.clip(processor.tokenizer).to(loop.device())
    model.set_attn_implementation("eager")  # on short sequences half as long as the fused kind on a CPU
    log.info("demo-clip: %d parameters, %d steps of %d", models.parameters(model), steps, batch)

    def report(step: int) -> None:
        found = contrastive.measure(model, processor.tokenizer, "support", 500)
        log.info("step %d: 500 images, 1000 captions: R@1 %.3f R@5 %.3f R@10 %.3f", step, *found.values())
        shipping.export(model, processor, "demo-clip")

    loss_at = partial(contrastive.loss_at, model, processor.tokenizer, batch=batch)
    loop.train(model, loss_at, loop.Schedule(steps, rate), work / "demo-clip.pt", report)


@app.command()
def mllm(
    work: Work = Path("cache/demo-training"),
    steps: int = MLLM_STEPS,
    batch: int = MLLM_BATCH,
    rate: float = MLLM_RATE,
    seed: Seed = 0,
    compiled: Annotated[
        bool, typer.Option(help="Compile the decoder layers: a fifth faster, needs a C++ compiler.")
    ] = False,
) -> None:
    """Train demo-mllm generatively, from demo-clip's vision tower, and export it. Runs under torchrun too."""
    _begin(seed)
    worker = loop.worker()
    processor = tokens.mllm_processor()
    model = models.mllm(processor.tokenizer, shipping.load_clip()).to(loop.device())
    model.set_attn_implementation("eager")
    if compiled:
        for layer in model.model.language_model.layers:
            layer.compile(dynamic=True)
    log.info(
        "demo-mllm: %d parameters, %d steps of %d, worker %d of %d", models.parameters(model), steps, batch, *worker
    )

    def report(step: int) -> None:
        shipping.export(model, processor, "demo-mllm")
        shipped = shipping.load_mllm()
        log.info("step %d: %s", step, figures.caption_figures(shipped, processor, "support", 200))
        log.info(
            "step %d: 300 images, 600 captions: %s", step, figures.retrieval_figures(shipped, processor, "support", 300)
        )

    loss_at = partial(generative.loss_at, model, processor.tokenizer, batch=batch, worker=worker)
    loop.train(model, loss_at, loop.Schedule(steps, rate, save_every=300), work / "demo-mllm.pt", report)


@app.command()
def evaluate() -> None:
    """Measure the shipped files on the test split and write the figures into their model cards."""
    _begin(0)
    for name, measure in (("demo-clip", examination.clip), ("demo-mllm", examination.mllm)):
        found = measure(shipping.WEIGHTS / name)
        cards.write(shipping.WEIGHTS / name / "README.md", found)
        log.info("%s\n%s", name, cards.table(found))


if __name__ == "__main__":
    app()
