"""The figures and tables of the study as exhibits: claim, definition, the rule it is judged by, and which of its
numbers were printed."""

from __future__ import annotations

from core.errors import NotAvailable
from core.exhibits import cost, figures, measured, tables, verdicts
from core.exhibits.contradictions import CONTRADICTIONS
from core.exhibits.registry import Exhibit, Option
from core.exhibits.rows import METRIC, STATISTICS, need_pairs
from core.run import Run

RECALL = (
    "Recall@k: share of queries with a relevant candidate among the k best by cosine (hit rate; docs/study.md"
    " section 7)."
)
REALIGN = (
    "ReAlign: shrinkage ZCA whitening of unit rows, per side, beta 0.1, eps 1e-5 (Eqs 11-12); the run's own settings"
    " where they differ."
)
PAIRED = (
    "Agrees where the paired 95% interval of the difference lies on the claim's side of 0 and p is below 0.05,"
    " disagrees where it lies on the other with such a p, else not clear"
)


def need_sae(run: Run) -> None:
    """NotAvailable without an SAE."""
    run.need_sae()


def need_sae_and_pairs(run: Run) -> None:
    """NotAvailable without an SAE or without pairs."""
    run.need_sae()
    need_pairs(run)


def need_modalities(run: Run) -> None:
    """NotAvailable without an SAE, or where no item is a pure image or none a pure text: Eq 4 has nothing to divide."""
    run.need_sae()
    held = {str(m) for part in ("queries", "candidates") for m in set(run.corpus.items(part).modality)}  # type: ignore[arg-type]
    if missing := {"text", "image"} - held:
        raise NotAvailable(
            f"run {run.name!r} has no item that is a pure {' or '.join(sorted(missing))}, so no concept has a modality"
            " score (Eq 4)",
            got=", ".join(sorted(held)),
            todo="choose a run of task 1 or 4",
        )


STUDY = (
    Exhibit(
        name="figure-1",
        contradictions=CONTRADICTIONS.get("figure-1", ()),
        title="Figure 1",
        claim="Zero-shot, multimodal LLMs retrieve worse than a small CLIP.",
        definition=(
            f"{RECALL} Raw embeddings of each run; the difference is taken query by query to the contrastive run on the"
            " same corpus."
        ),
        rule=f"{PAIRED}. Difference: multimodal LLM minus contrastive.",
        compute=figures.models_compared,
        judge=verdicts.models_compared,
        measured=measured.base,
        check=need_pairs,
        together=True,
        options=(METRIC,),
        needs="relevant pairs; for the verdict a multimodal LLM and a contrastive run on the same corpus",
    ),
    Exhibit(
        name="figure-2",
        contradictions=CONTRADICTIONS.get("figure-2", ()),
        title="Figure 2",
        claim="Most concepts of multimodal LLMs score near 1, text; contrastive models are balanced.",
        definition=(
            "Modality score (Eq 4): mean activation on texts over the sum of the means on texts and on images, 1 ="
            " text, 0 = image. A concept that never fires has none. Shares are of the concepts that have a score."
        ),
        rule=(
            "A multimodal LLM agrees where the Wilson 95% interval of the share of concepts above 0.9 lies above a"
            " half, a contrastive model where that of the share from 0.1 to 0.9 does; below a half it disagrees. The"
            " thresholds are ours: the study shows a plot."
        ),
        compute=figures.modality_density,
        judge=verdicts.modality_density,
        check=need_modalities,
        on_sae=True,
        needs="an SAE, pure images and pure texts",
    ),
    Exhibit(
        name="figure-3",
        contradictions=CONTRADICTIONS.get("figure-3", ()),
        title="Figure 3",
        claim="Few concepts hold 99% of the energy, in every kind of model.",
        definition=(
            "Energy (Eq 3): mean activation over all queries and candidates. The fewest concepts that together hold a "
            "share of the sum, "
            "as a share of all concepts of the dictionary, dead ones included."
        ),
        rule=(
            "Agrees where the 95% interval of the share that holds 99% (±1.96 bootstrap standard errors over items)"
            " lies below 10%, disagrees above it, else not clear. The threshold is ours; the study prints 2.3 to 7.9%."
        ),
        compute=figures.energy_concentration,
        judge=verdicts.energy_concentration,
        measured=measured.energy,
        check=need_sae,
        on_sae=True,
        needs="an SAE",
    ),
    Exhibit(
        name="figure-4",
        contradictions=CONTRADICTIONS.get("figure-4", ()),
        title="Figure 4",
        claim="Dropping image tokens changes retrieval little; dropping the prompt's tokens hurts.",
        definition=(
            f"{RECALL} Mean over all tokens, over all but the image tokens, over all but the prompt's (the instruction "
            "that follows the "
            "item); paired differences to all tokens."
        ),
        rule=(
            "Image tokens: agrees where the paired 95% interval lies within ±2 points, disagrees where it lies"
            f" outside, else not clear. Prompt: {PAIRED[0].lower()}{PAIRED[1:]}. Raw embeddings."
        ),
        version=2,
        compute=figures.token_masks,
        judge=verdicts.token_masks,
        measured=measured.masks,
        check=need_pairs,
        options=(METRIC,),
        needs=f"a multimodal LLM with {figures.MASKS}",
    ),
    Exhibit(
        name="figure-5",
        contradictions=CONTRADICTIONS.get("figure-5", ()),
        title="Figure 5",
        claim="The last layer retrieves best.",
        definition=(
            f"{RECALL} Mean-pooled hidden states of each stored layer: 0 is the input, -1 the last after the final"
            " norm. The study is taken to count layers from 0, so its layer n is n + 1 here."
        ),
        rule=(
            f"{PAIRED}. Difference: the best other layer minus the last; the best of several is favoured by choice. Raw"
            " embeddings."
        ),
        version=2,
        compute=figures.layers,
        judge=verdicts.layers,
        measured=measured.layers,
        check=need_pairs,
        options=(METRIC,),
        needs=f"a multimodal LLM with {figures.LAYERS}",
    ),
    Exhibit(
        name="figure-6",
        contradictions=CONTRADICTIONS.get("figure-6", ()),
        title="Figure 6",
        claim="Whitening helps over a wide range of shrinkage.",
        definition=(
            f"{RECALL} ReAlign with shrinkage beta (Eq 11) from 0, full whitening, to 1, centring alone; paired"
            " differences to raw."
        ),
        rule=(
            "Agrees where the paired 95% interval of the gain over raw lies above 0 with p below 0.05 at every beta"
            " from 0.1 to 0.9, disagrees where it does at none and lies below with such a p at some, else not clear."
        ),
        compute=figures.beta_sweep,
        judge=verdicts.beta_sweep,
        measured=measured.betas,
        check=need_pairs,
        options=(METRIC, STATISTICS),
        needs="relevant pairs",
    ),
    Exhibit(
        name="table-1",
        contradictions=CONTRADICTIONS.get("table-1", ()),
        title="Table 1",
        claim="Top concepts by energy, bridging and attribution coincide more in multimodal LLMs.",
        definition=(
            "Jaccard overlap (Eq 7) of the top concepts by energy (Eq 3), attribution (Eq 6) and bridge (diagonal of Eq"
            " 5, our choice); a share x means max(1, round(x c)) of all c concepts."
        ),
        rule=(
            "Agrees where the 95% interval of the difference of all three, multimodal LLM minus contrastive, lies above"
            " 0, disagrees below it, else not clear; intervals by bootstrap over items and matching pairs of each run."
        ),
        compute=tables.overlaps,
        judge=verdicts.overlaps,
        measured=measured.overlaps,
        check=need_sae_and_pairs,
        together=True,
        on_sae=True,
        options=(
            Option(
                name="share",
                default=0.01,
                low=0.001,
                high=0.5,
                help="Share of all concepts in each top set; the study's is 0.01.",
            ),
        ),
        needs="an SAE and relevant pairs; for the verdict a multimodal LLM and a contrastive run on the same corpus",
    ),
    Exhibit(
        name="table-2",
        contradictions=CONTRADICTIONS.get("table-2", ()),
        title="Table 2",
        claim="Projecting out the subspace of the top concepts by attribution raises recall.",
        definition=(
            "h' = h - V Vᵀ h, V the right singular vectors of the dictionary rows of the top share by attribution that "
            "hold 99% of the "
            "squared singular values (Eqs 8-10). Control, ours: as many random concepts, several draws."
        ),
        rule=(
            f"{PAIRED}. Differences: removal minus none (the claim), and removal minus the mean of the random removals,"
            " which must also lie beyond every draw (ours)."
        ),
        compute=tables.removal,
        judge=verdicts.removal,
        measured=measured.removal,
        check=need_sae_and_pairs,
        on_sae=True,
        options=(
            Option(
                name="share",
                default=0.01,
                low=0.001,
                high=0.5,
                help="Share of all concepts removed; the study's is 0.01.",
            ),
            Option(
                name="then",
                default="none",
                allowed=("none", "center", "realign"),
                help="A step that follows the removal.",
            ),
            Option(name="draws", default=3, low=1, high=20, help="Draws of random concepts."),
            METRIC,
        ),
        needs="an SAE and relevant pairs",
    ),
    Exhibit(
        name="table-3",
        contradictions=CONTRADICTIONS.get("table-3", ()),
        title="Table 3",
        claim="ReAlign raises recall on every task.",
        definition=(
            f"{RECALL} {REALIGN} Paired differences to the raw embeddings and, what the study does not separate, to"
            " centring alone."
        ),
        rule=f"{PAIRED}. Differences: ReAlign minus raw (the claim), and minus centring alone (ours).",
        compute=tables.realign,
        judge=verdicts.realign,
        measured=measured.variants,
        check=need_pairs,
        options=(METRIC, STATISTICS),
        needs="relevant pairs; statistics support a support split",
    ),
    Exhibit(
        name="table-4",
        contradictions=CONTRADICTIONS.get("table-4", ()),
        title="Table 4",
        claim="With ReAlign, a zero-shot multimodal LLM competes with fine-tuned retrievers.",
        definition=f"{RECALL} {REALIGN} Paired differences to a fine-tuned retriever on the same corpus, as it is.",
        rule=f"{PAIRED}. Difference: multimodal LLM with ReAlign minus fine-tuned retriever.",
        version=2,
        compute=tables.fine_tuned,
        judge=verdicts.fine_tuned,
        measured=measured.tuned,
        check=need_pairs,
        together=True,
        options=(METRIC,),
        needs="relevant pairs; for the verdict a multimodal LLM and a fine-tuned retriever on the same corpus",
    ),
    Exhibit(
        name="table-5",
        contradictions=CONTRADICTIONS.get("table-5", ()),
        title="Table 5",
        claim="Mean pooling is the best of four.",
        definition=(
            f"{RECALL} Mean, last token, elementwise maximum and minimum over the last layer's token states; paired "
            "differences to the "
            "run's first pooling."
        ),
        rule=(
            f"{PAIRED}. Difference: the best other pooling minus the mean; the best of several is favoured by choice."
            " Raw embeddings."
        ),
        version=2,
        compute=tables.pooling,
        judge=verdicts.pooling,
        measured=measured.poolings,
        check=need_pairs,
        options=(METRIC,),
        needs=f"a multimodal LLM with {tables.POOLINGS}",
    ),
    Exhibit(
        name="table-7",
        contradictions=CONTRADICTIONS.get("table-7", ()),
        title="Table 7",
        claim="ReAlign costs less than computing the similarities.",
        definition=(
            "Median seconds and peak memory of fitting and applying ReAlign (Eqs 11-12) to all rows, and of all"
            " query-candidate products, both in fp32 blocks on this machine. Synthetic rows: 256 queries, 2,048"
            " candidates at the dimensions of the study."
        ),
        rule=(
            "Agrees where the longest ReAlign took less than the shortest similarities over all repeats, disagrees"
            " where the shortest took more than the longest, else not clear."
        ),
        compute=cost.cost,
        judge=verdicts.cost,
        measured=measured.cost,
        depends=cost.machine,
        options=(
            Option(
                name="synthetic",
                default=False,
                help="Also time d = 2304, 3584 and 4096 (once each; minutes on a laptop).",
            ),
        ),
        needs="embeddings",
    ),
    Exhibit(
        name="table-8",
        contradictions=CONTRADICTIONS.get("table-8", ()),
        title="Table 8",
        claim="ReAlign beats PCA and ZCA whitening.",
        definition=(
            f"{RECALL} {REALIGN} ZCA is ReAlign without shrinkage; PCA leaves out the final rotation and takes shared"
            " statistics only, so that the difference to it is also that of per-side to shared statistics"
            " (`whitening-sources` parts them)."
        ),
        rule=f"{PAIRED}. Differences: ReAlign minus PCA, ReAlign minus ZCA.",
        version=2,
        compute=tables.whitenings,
        judge=verdicts.whitenings,
        measured=measured.variants,
        check=need_pairs,
        options=(METRIC,),
        needs="relevant pairs",
    ),
    Exhibit(
        name="table-9",
        contradictions=CONTRADICTIONS.get("table-9", ()),
        title="Table 9",
        claim="ReAlign narrows the gap of zero-shot multimodal LLMs to contrastive baselines.",
        definition=(
            f"{RECALL} {REALIGN} The contrastive run counts as it is; what ReAlign does to it stands beside. The gap is"
            " paired."
        ),
        rule=f"{PAIRED}. Difference: the gap to the contrastive run with ReAlign minus without; the baseline cancels.",
        version=2,
        compute=tables.contrastive,
        judge=verdicts.contrastive,
        measured=measured.variants,
        check=need_pairs,
        together=True,
        options=(METRIC,),
        needs="relevant pairs; for the verdict a multimodal LLM and a contrastive run on the same corpus",
    ),
)
"""In the order of the paper."""
