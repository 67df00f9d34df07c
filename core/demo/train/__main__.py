"""Train the demo models, one command per stage: `python -m core.demo.train
{clip,tower,decoder,connector,base,tune,evaluate,rows}`.

In:  nothing but the demo world; a working folder for checkpoints, from which an interrupted stage is resumed.
Out: what each stage learned and, of the last one, `save_pretrained` folders under core/demo/train/stages/; demo-clip
under core/demo/weights/; the figures of these files in their cards.

demo-mllm: tower and decoder (apart from each other), connector, base, `tune --mix demo`; `tune --mix captioner` for its
sibling that is never asked for one word. connector, base and tune run under torchrun too: `torchrun --nproc-per-node 2
-m core.demo.train base`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from transformers import CLIPModel, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast

from core.demo.train import (
    batches,
    cards,
    contrastive,
    examination,
    figures,
    loop,
    models,
    rows,
    shipping,
    stages,
    tokens,
)

log = logging.getLogger("core.demo.train")
app = typer.Typer(add_completion=False, help=__doc__)
Work = Annotated[Path, typer.Option(help="Folder for checkpoints; a run found there is resumed.")]
Seed = Annotated[int, typer.Option(help="Seed of the initial weights. Data depends on the step alone.")]
WORK = Path("cache/demo-training")
UNSEEN = 10**9  # first document that no stage learns from
LOOK_EVERY = 800.0  # seconds between two looks at captions and questions
LOOK_SCENES = 100  # of the support split


@app.callback()
def _commands() -> None:
    """Typer then shows the module's text as help."""


def _begin(seed: int) -> None:
    """Logging and seed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    torch.manual_seed(seed)


@app.command()
def clip(work: Work = WORK, steps: int = 900, batch: int = 256, rate: float = 1e-3, seed: Seed = 0) -> None:
    """Train demo-clip contrastively and export it."""
    _begin(seed)
    processor = tokens.clip_processor()
    model = models.clip(processor.tokenizer).to(loop.device())
    model.set_attn_implementation("eager")  # on short sequences half as long as the fused kind on a CPU
    log.info("demo-clip: %d parameters, %d steps of %d", models.parameters(model), steps, batch)

    def report(step: int) -> None:
        _log_recall(model, processor.tokenizer, step)
        shipping.export(model, processor, "demo-clip")

    loss_at = partial(contrastive.loss_at, model, processor.tokenizer, batch=batch)
    loop.train(model, loss_at, loop.Schedule(steps, rate), work / "demo-clip.pt", report)


@app.command()
def tower(work: Work = WORK, steps: int = 850, batch: int = 256, rate: float = 1e-3, seed: Seed = 1) -> None:
    """Stage 1: the vision tower of demo-mllm, contrastively, on scenes of its own; its text encoder is thrown away."""
    _begin(seed)
    tokenizer = tokens.clip_processor().tokenizer
    model = models.clip(tokenizer, text_layers=2).to(loop.device())
    model.set_attn_implementation("eager")
    log.info("tower: %d parameters, %d steps of %d", models.parameters(model), steps, batch)
    whole = models.mllm(tokens.mllm_tokenizer())

    def report(step: int) -> None:
        _log_recall(model, tokenizer, step)
        stages.save("tower", models.tower_of(model, whole))

    loss_at = partial(contrastive.loss_at, model, tokenizer, batch=batch, seed=contrastive.TOWER_SEED)
    loop.train(model, loss_at, loop.Schedule(steps, rate), work / "tower.pt", report)


def _log_recall(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, step: int) -> None:
    recalls = contrastive.measure(model, tokenizer, "support", 500)
    log.info("step %d: 500 images, 1000 captions: R@1 %.3f R@5 %.3f R@10 %.3f", step, *recalls.values())


def _mllm(*earlier: str) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """demo-mllm as earlier stages left it, and its processor."""
    processor = tokens.mllm_processor()
    model = models.mllm(processor.tokenizer)
    stages.load(model, *earlier)
    return model.to(loop.device()), processor


@app.command()
def decoder(work: Work = WORK, steps: int = 280, batch: int = 160, rate: float = 1.5e-3, seed: Seed = 2) -> None:
    """Stage 2: the decoder of demo-mllm, on text alone; `batch` counts documents."""
    _begin(seed)
    model, processor = _mllm()
    model.set_attn_implementation(
        "sdpa"
    )  # on rows of documents, which have no padding, a tenth faster than the eager kind
    stages.learn_only(model, "decoder")
    log.info(
        "decoder: %d parameters, %d steps of %d documents", models.parameters(model.model.language_model), steps, batch
    )

    def report(step: int) -> None:
        with torch.inference_mode():
            unseen = batches.document_loss(model, processor.tokenizer, 0, batch, UNSEEN)
        log.info("step %d: loss %.4f per token of unseen documents", step, unseen)
        stages.save("decoder", model.state_dict())

    loss_at = partial(batches.document_loss, model, processor.tokenizer, batch=batch)
    loop.train(model, loss_at, loop.Schedule(steps, rate, warmup=60), work / "decoder.pt", report)


@app.command()
def connector(work: Work = WORK, steps: int = 150, batch: int = 64, rate: float = 3e-3, seed: Seed = 3) -> None:
    """Stage 3: the connector alone, on captions, between the frozen tower and the frozen decoder."""
    _begin(seed)
    model, processor = _mllm("tower", "decoder")
    model.set_attn_implementation("eager")
    stages.learn_only(model, "connector")
    log.info(
        "connector: %d parameters, %d steps of %d", models.parameters(model.model.multi_modal_projector), steps, batch
    )
    loss_at = partial(batches.connector_loss, model, processor.tokenizer, batch=batch)

    def report(step: int) -> None:
        stages.save("connector", model.state_dict())

    loop.train(model, loss_at, loop.Schedule(steps, rate, warmup=20), work / "connector.pt", report)


@app.command()
def base(
    work: Work = WORK,
    steps: int = 2050,
    batch: int = 24,
    rate: float = 1e-3,
    seed: Seed = 4,
    after: Annotated[int, typer.Option(help="Go on from the stored base stage, which has done so many steps.")] = 0,
) -> None:
    """Stage 4: everything learns, on captions, questions and texts. No request for one word.

    `--after N --steps M` goes on from what `base --steps N` stored: M more steps, with a warm-up and a cosine of their
    own, on rows that no earlier step had.
    """
    _begin(seed)
    model, processor = _mllm(*(("base",) if after else ("tower", "decoder", "connector")))

    def save() -> None:
        stages.save("base", model.state_dict())

    checkpoint = work / (f"base-after-{after}.pt" if after else "base.pt")
    _converse(model, processor, "base", batch, loop.Schedule(steps, rate, warmup=100), checkpoint, save, after)


@app.command()
def tune(
    mix: Annotated[str, typer.Option(help="demo, captioner or study.")],
    work: Work = WORK,
    steps: int = 480,
    batch: int = 64,
    rate: float = 6e-4,
    seed: Seed = 5,
) -> None:
    """Stage 5: instruction tuning from the base stage, in one of three mixes; `study` is only measured, not shipped."""
    _begin(seed)
    chosen = next((name for name in examination.NAMES if name == mix), None)
    if chosen is None:
        raise typer.BadParameter(f"unknown mix {mix!r}; choose one of {', '.join(examination.NAMES)}")
    model, processor = _mllm("base")
    root = shipping.WEIGHTS if mix != "study" else work

    def save() -> None:
        shipping.export(model, processor, examination.NAMES[chosen], root)

    _converse(model, processor, chosen, batch, loop.Schedule(steps, rate, warmup=50), work / f"tune-{mix}.pt", save)


def _converse(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    mix: rows.Mix,
    batch: int,
    schedule: loop.Schedule,
    checkpoint: Path,
    save: Callable[[], None],
    after: int = 0,
) -> None:
    """Learn conversations of a mix, from the rows of step `after` on; now and then, captions and questions of the
    support split are logged."""
    model.set_attn_implementation("eager")
    worker = loop.worker()
    log.info(
        "%s: %d parameters, %d steps of %d, worker %d of %d",
        mix,
        models.parameters(model),
        schedule.steps,
        batch,
        *worker,
    )
    looked = time.monotonic()

    def report(step: int) -> None:
        nonlocal looked
        save()
        if time.monotonic() - looked > LOOK_EVERY or step == schedule.steps:
            looked = time.monotonic()
            model.eval()
            log.info("step %d: %s", step, figures.caption_figures(model, processor, "support", LOOK_SCENES))
            log.info(
                "step %d: questions right %.3f",
                step,
                figures.question_figures(model, processor, "support", LOOK_SCENES),
            )

    def loss_at(step: int) -> torch.Tensor:
        return batches.conversation_loss(model, processor.tokenizer, after + step, mix, batch, worker)

    loop.train(model, loss_at, schedule, checkpoint, report)


@app.command()
def evaluate(
    work: Work = WORK,
    mix: Annotated[str, typer.Option(help="demo, captioner, study, or clip; all of them unless given.")] = "",
) -> None:
    """Measure the shipped files (and the `study` mix in the working folder, if it is there) on the test split; write
    the cards."""
    _begin(0)
    clip = examination.clip(shipping.WEIGHTS / "demo-clip")
    if mix in ("", "clip"):
        cards.write(shipping.WEIGHTS / "demo-clip" / "README.md", "figures", cards.table(clip))
    for one, name in examination.NAMES.items():
        folder = (shipping.WEIGHTS if one != "study" else work) / name
        if mix not in ("", one) or not (folder / "config.json").exists():
            continue
        measured = examination.mllm(folder)
        log.info("%s\n%s", name, cards.table(measured))
        card = shipping.WEIGHTS / examination.NAMES["demo" if one == "study" else one] / "README.md"
        cards.write(card, "figures of the mix study" if one == "study" else "figures", cards.table(measured))
        if one == "demo":
            cards.write(card, "aims", examination.aims(measured, clip[0].share))


@app.command(name="rows")
def print_rows(
    count: Annotated[int, typer.Option(help="Rows of each stage.")] = 10,
    stage: Annotated[str, typer.Option(help="Only this stage: one of " + ", ".join(rows.STAGES) + ".")] = "",
) -> None:
    """Print what was taught as JSON lines {"text", "stage"}: rows as every stage draws them, pictures as <image>."""
    if stage and stage not in rows.STAGES:
        raise typer.BadParameter(f"unknown stage {stage!r}; choose one of {', '.join(rows.STAGES)}")
    for name in [stage] if stage else rows.STAGES:
        for text in rows.taught(name, count):
            typer.echo(json.dumps({"text": text, "stage": name}, ensure_ascii=False))


if __name__ == "__main__":
    app()
