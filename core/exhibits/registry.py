"""The list of exhibits, in the order they are listed: a new one is a file of its own and a line here."""

from __future__ import annotations

from core.exhibits import (
    beyond_answer,
    beyond_dictionaries,
    beyond_failures,
    beyond_faithfulness,
    beyond_fidelity,
    beyond_geometry,
    beyond_inside,
    beyond_mediation,
    beyond_mixed_pools,
    beyond_modality_bias,
    beyond_remedies,
    beyond_removal_controls,
    beyond_support_size,
    beyond_token_split,
    beyond_whitening_sources,
    beyond_word_causes,
    figure_1_models,
    figure_2_modality,
    figure_3_energy,
    figure_4_tokens,
    figure_5_layers,
    figure_6_shrinkage,
    table_1_overlap,
    table_2_removal,
    table_3_realign,
    table_4_tuned,
    table_5_pooling,
    table_7_cost,
    table_8_whitenings,
    table_9_contrastive,
)
from core.exhibits.shared.records import Exhibit

MODULES = (
    figure_1_models,
    figure_2_modality,
    figure_3_energy,
    figure_4_tokens,
    figure_5_layers,
    figure_6_shrinkage,
    table_1_overlap,
    table_2_removal,
    table_3_realign,
    table_4_tuned,
    table_5_pooling,
    table_7_cost,
    table_8_whitenings,
    table_9_contrastive,
    beyond_removal_controls,
    beyond_mediation,
    beyond_whitening_sources,
    beyond_support_size,
    beyond_remedies,
    beyond_failures,
    beyond_dictionaries,
    beyond_fidelity,
    beyond_faithfulness,
    beyond_token_split,
    beyond_geometry,
    beyond_answer,
    beyond_mixed_pools,
    beyond_modality_bias,
    beyond_inside,
    beyond_word_causes,
)
"""One module per exhibit: the study's in the order of the paper, then what it leaves out."""

EXHIBITS: dict[str, Exhibit] = {module.EXHIBIT.name: module.EXHIBIT for module in MODULES}
"""Every exhibit by name, the study's first."""

FILES: dict[str, str] = {module.EXHIBIT.name: module.__name__.rpartition(".")[2] for module in MODULES}
"""Name of an exhibit -> name of its file, e.g. "figure-2" -> "figure_2_modality"; its drawings have a file of that name
too."""
