"""What the study leaves out: further questions on the same runs, each as an exhibit of the group "beyond"."""

from __future__ import annotations

from core.exhibits import beyond_tables as tables
from core.exhibits import beyond_verdicts as verdicts
from core.exhibits.beyond_tables import THENS
from core.exhibits.registry import Exhibit, Option
from core.exhibits.rows import METRIC, need_pairs
from core.exhibits.study import PAIRED, need_sae_and_pairs

YES = f"{PAIRED}; agrees is yes"

BEYOND: tuple[Exhibit, ...] = (
    Exhibit(
        name="removal-controls",
        title="Removal and its controls",
        claim=(
            "Does removing the top concepts by attribution raise recall, more than removing others, and still after "
            "centring?"
        ),
        definition="h' = h - V Vᵀ h (Eqs 8-10), V spanning the top share by attribution (Eq 6), or "
        "its first r singular "
        ""
        "directions. "
        "Controls of equal number: random active concepts, the concepts of highest energy (Eq 3). Controls of "
        "equal rank: "
        "random directions, the top principal directions of all rows. Each followed by nothing, centring or "
        "ReAlign, and "
        "compared with that step alone.",
        rule=f"{YES}. Differences at the study's share of 1%, or at 4 directions: removal minus none, and minus the "
        f"mean of random "
        "concepts, which must also lie beyond every draw.",
        compute=tables.removal_controls,
        judge=verdicts.removal_controls,
        group="beyond",
        check=need_sae_and_pairs,
        options=(
            Option(
                name="along",
                default="share",
                allowed=("share", "rank"),
                help="What grows: the removed share, or the rank r of 5%.",
            ),
            Option(name="then", default="all", allowed=("all", *THENS), help="The step that follows the removal."),
            METRIC,
        ),
        needs="an SAE and relevant pairs",
        on_sae=True,
        kept=False,
    ),
    Exhibit(
        name="whitening-sources",
        title="Where whitening's gain comes from",
        claim="Does whitening add to centring each side, and is a mean per side what matters?",
        definition="Each ingredient of ReAlign (Eqs 11-12) against the setting without it: a common "
        "mean, a mean per side, "
        ""
        "scaling, "
        "rotation, shrinkage; statistics of the query side from the test queries without labels, the support "
        "split, the "
        "candidates, or both sides together; shrinkage of 0.1 against Ledoit & Wolf (2004) and OAS (Chen et al. 2010).",
        rule=f"{YES}. Differences: ReAlign minus centring alone; a mean per side minus one common mean. Support "
        f"statistics: agrees "
        "where the interval of the difference to the test queries' lies within ±2 points.",
        compute=tables.whitening_sources,
        judge=verdicts.whitening_sources,
        group="beyond",
        check=need_pairs,
        needs="relevant pairs; a support split for its rows",
        kept=False,
    ),
    Exhibit(
        name="support-size",
        title="How many support queries",
        claim="Are query statistics from a support split safe, and from how many queries on?",
        definition="Centring and ReAlign with the query side's mean and covariance from n random "
        "support queries (three "
        ""
        "draws, each larger"
        " one containing the smaller), candidates from the pool. Gain: paired difference of recall@1 to raw.",
        rule="Safe from the smallest n from which on the lower 95% bound of every draw's gain stays above 0: agrees "
        "where there is "
        "one, disagrees where with all support queries the interval of the gain lies below 0, else not clear.",
        compute=tables.support_size,
        judge=verdicts.support_size,
        group="beyond",
        check=need_pairs,
        needs="a support split and relevant pairs",
        kept=False,
    ),
    Exhibit(
        name="remedies",
        title="Training-free remedies",
        claim="Which training-free remedy raises recall, and does any beat ReAlign?",
        definition="Transforms: centring, closing the modality gap (Liang et al. 2022), removing "
        "the direction between the "
        ""
        "means, all-but-"
        "the-top (Mu & Viswanath 2018), PCA, ZCA, ReAlign, automatic shrinkage. Score corrections with a bank of "
        "support "
        "queries: CSLS (Conneau et al. 2018), inverted softmax (Smith et al. 2017), QB-Norm (Bogolin et al. "
        "2022). Other stored"
        " layers, poolings, token masks and prompts. McNemar's exact test against the raw cosine, corrected over "
        "the table (Holm 1979).",
        rule="Agrees where the best remedy's gain is above 0 with a corrected p below 0.05; disagrees where none is "
        "and some lower "
        "recall, else not clear; the best of several is favoured by choice. Beyond ReAlign: agrees where at "
        "least one remedy's paired "
        "gain over it is above 0 with a p below 0.05 corrected over all of them, else not clear.",
        compute=tables.remedy_table,
        judge=verdicts.remedies,
        group="beyond",
        check=need_pairs,
        needs="relevant pairs; other layers, poolings, masks and prompts where they are to be compared",
        kept=False,
    ),
    Exhibit(
        name="failures",
        title="Concepts that decide failures",
        claim="Do few concepts decide which queries fail, and does switching them off raise recall?",
        definition="For each query whose first candidate is irrelevant, the margin between its best "
        "relevant candidate and "
        ""
        "that one, as a "
        "sum of one term per concept (docs/study.md section 4). A concept decides a failure if without its term "
        "the margin "
        "would be at least 0. Switched off: its activation scaled to 0 on both sides; chosen on the support "
        "split where there "
        "is one.",
        rule=(
            f"{YES}. Differences: with the most concepts switched off, minus none, and minus random active concepts "
            f"of equal number."
        ),
        compute=tables.failing_concepts,
        judge=verdicts.failing_concepts,
        group="beyond",
        check=need_sae_and_pairs,
        options=(
            Option(name="variant", default="none", allowed=THENS, help="The variant whose failures are explained."),
            Option(name="listed", default=15, low=1, high=200, help="Concepts listed."),
        ),
        needs="an SAE and relevant pairs",
        on_sae=True,
        kept=False,
    ),
    Exhibit(
        name="dictionaries",
        title="Conclusions under other dictionaries",
        claim="Do the study's conclusions hold for other dictionaries of the same embeddings?",
        definition="The run's own SAE, others of the same model (another seed; trained on token states or on pooled "
        "embeddings), and "
        "directions by PCA, ICA and k-means fitted on the support split and the pool without labels, in the same "
        "contract h = z"
        " D + u + e. Each: modality scores (Eq 4), share of concepts that holds 99% of the energy (Eq 3), "
        "overlaps of the top "
        "1% (Eq 7), recall after removing the top 1% by attribution (Eqs 8-10) beside random concepts of equal "
        "number and rank,"
        " and agreement with the own SAE: the largest cosine of each concept that fires to any of its (Paulo & "
        "Belrose 2025), the mean "
        "squared cosine of the spans of the top sets.",
        rule="Per conclusion: agrees where it holds in all dictionaries, disagrees where in none, else not clear. The "
        "thresholds are"
        " ours: a half of the concepts, a tenth of them, a half of the sets; removal by the paired 95% interval.",
        compute=tables.dictionary_conclusions,
        judge=verdicts.dictionary_conclusions,
        group="beyond",
        check=need_pairs,
        needs="relevant pairs; pure images and pure texts for modality scores",
        kept=False,
    ),
    Exhibit(
        name="sae-fidelity",
        title="How well dictionaries stand for the embeddings",
        claim="Do dictionaries rebuild the pooled embeddings well enough to retrieve with?",
        definition="Explained variance per dimension, 1 - SSE/SST, of the pooled test embeddings, beside what the SAE "
        "reached at the end "
        "of its training on its own rows (token states, pooled embeddings or a mixture); recall of the "
        "reconstructions z D + u "
        "in the place of the embeddings.",
        rule="Agrees where the paired 95% interval of the reconstructions' recall@1 minus the embeddings' lies within "
        "±2 points, "
        "disagrees where it lies outside, else not clear; judged for the first dictionary and the one that "
        "explains most, where"
        " the embeddings reach 2% themselves.",
        compute=tables.sae_fidelity,
        judge=verdicts.sae_fidelity,
        group="beyond",
        check=need_pairs,
        needs="relevant pairs",
        kept=False,
    ),
    Exhibit(
        name="geometry",
        title="Geometry before and after",
        claim="Do fewer hubs and better separated pairs come with more recall?",
        definition="Modality gap (Liang et al. 2022), mean cosines, effective rank (Roy & Vetterli "
        "2007) and participation "
        ""
        "ratio of the "
        "covariance's eigenvalues, hubness as skewness of N_10 (Radovanovic et al. 2010), alignment and "
        "uniformity (Wang & Isola "
        "2020; uniformity over at most 20,000 sampled pairs), d' of matching against all other pairs; raw, "
        "centred, ReAlign. Intervals of differences: delete-a-group jackknife over queries, the pool and the "
        "fitted variant held fixed.",
        rule="Agrees where hubness falls, d' rises and recall@1 rises, each with an interval that leaves out 0 and p "
        "below 0.05; "
        "disagrees where recall falls although one of the two improves; else not clear.",
        compute=tables.geometry_table,
        judge=verdicts.geometry,
        group="beyond",
        check=need_pairs,
        needs="relevant pairs",
        kept=False,
    ),
)
"""In the order they are listed."""
