"""Token limits: what is left of the tokens of a batch where a server or a library cuts them off.

In: model inputs of items without an image, padded on the right. Out: the same inputs, shorter. `first` is the
truncation of tokenizers and of sentence-transformers' `max_seq_length`; `last` is vLLM's `truncate_prompt_tokens`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kept = Literal["first", "last"]


@dataclass(frozen=True)
class TokenCut:
    """At most `limit` tokens of an item, template included: its first, or its last."""

    limit: int
    keep: Kept = "first"


def cut_tokens(inputs: Mapping[str, Any], cut: TokenCut) -> dict[str, Any]:
    """Inputs with at most `cut.limit` columns; every tensor of shape (b, t, ...) is cut alike."""
    import torch

    attended = inputs["attention_mask"]
    b, t = attended.shape
    width = min(cut.limit, t)
    lengths = attended.sum(1)
    columns = torch.arange(width)[None].expand(b, width)
    if cut.keep == "last":
        columns = (columns + (lengths - width).clamp(min=0)[:, None]).clamp(max=t - 1)

    def shorter(value: Any) -> Any:
        if not torch.is_tensor(value) or value.shape[:2] != (b, t):
            return value
        return torch.stack([row[at] for row, at in zip(value, columns, strict=True)])

    cut_off = {name: shorter(value) for name, value in inputs.items()}
    # Columns behind the end of a row that was shorter than the limit stay padding.
    cut_off["attention_mask"] = (torch.arange(width)[None] < lengths[:, None]).to(attended.dtype)
    return cut_off
