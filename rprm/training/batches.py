"""How do token ids become one padded batch, with loss on the completion only?

Padding is on the right and to the longest row of the batch; nothing is ever cut.  B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset

from rprm.training.collate import Example, Pair

IGNORED = -100
"""Label of a position without loss, by the convention of torch and transformers."""

Row = Mapping[str, Any]


def example_rows(examples: Sequence[Example]) -> Dataset:
    """An in-memory dataset: nothing is mapped, hashed or cached on disk."""
    return Dataset.from_dict(
        {
            "prompt": [list(e.prompt_T) for e in examples],
            "completion": [list(e.completion_T) for e in examples],
        }
    )


def pair_rows(pairs: Sequence[Pair]) -> Dataset:
    return Dataset.from_dict(
        {
            "prompt": [list(p.prompt_T) for p in pairs],
            "chosen": [list(p.chosen_T) for p in pairs],
            "rejected": [list(p.rejected_T) for p in pairs],
        }
    )


class ExampleBatches:
    """Collates rows of `example_rows` into what TRL's SFTTrainer reads."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        rows_B = [(row["prompt"], row["completion"]) for row in rows]
        ids, attention, completion = pad_rows(rows_B, self.pad_id)
        labels = ids.masked_fill(completion == 0, IGNORED)
        return {"input_ids": ids, "attention_mask": attention, "labels": labels}


class PairBatches:
    """Collates rows of `pair_rows` into what TRL's DPOTrainer reads: all chosen, then all rejected.

    Rows may carry the reference model's log-likelihoods."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        chosen_B = [(row["prompt"], row["chosen"]) for row in rows]
        rejected_B = [(row["prompt"], row["rejected"]) for row in rows]
        ids, attention, completion = pad_rows(chosen_B + rejected_B, self.pad_id)
        batch = {"input_ids": ids, "attention_mask": attention, "completion_mask": completion}
        for name in ("ref_chosen_logps", "ref_rejected_logps"):
            if name in rows[0]:
                batch[name] = torch.tensor([row[name] for row in rows], dtype=torch.float32)
        return batch


def pad_rows(
    rows_B: Sequence[tuple[list[int], list[int]]], pad_id: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, attention mask and completion mask of (prompt, completion) rows."""
    width = max(len(prompt_T) + len(completion_T) for prompt_T, completion_T in rows_B)
    ids, attention, completion = [], [], []
    for prompt_T, completion_T in rows_B:
        num_pads = width - len(prompt_T) - len(completion_T)
        ids.append(prompt_T + completion_T + [pad_id] * num_pads)
        attention.append([1] * (width - num_pads) + [0] * num_pads)
        completion.append([0] * len(prompt_T) + [1] * len(completion_T) + [0] * num_pads)
    return torch.tensor(ids), torch.tensor(attention), torch.tensor(completion)
