"""Which checkpoint is the champion of a model, and how did it become so?

An append-only ledger in the store: `registry/<model>/00000001.json`, one file per decision.
MLflow's registry is a view of it: MLflow keeps no history of its aliases, and it may be away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.store.layout import registry_key, registry_prefix
from jobs.tracking.outbox import RecordStore
from jobs.tracking.records import canonical


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    sequence: int
    """Counts from 1 without gaps."""
    decision: Mapping[str, Any]


def append(store: RecordStore, model: str, decision: Mapping[str, Any]) -> int:
    """Number and keep a decision; a decision that is already in the ledger keeps its number.

    The second half lets a promote stage be killed after the append and be retried."""
    data = canonical(decision)
    sequence = 1
    for entry in history(store, model):
        if canonical(entry.decision) == data:
            return entry.sequence
        sequence = entry.sequence + 1
    while not store.create(registry_key(model, sequence), data):
        if store.get(registry_key(model, sequence)) == data:
            return sequence
        sequence += 1  # someone else took this number in the meantime
    return sequence


def history(store: RecordStore, model: str) -> list[Entry]:
    """Every decision, oldest first, including those that kept the champion."""
    sequences = _sequences(store, model)
    found = store.get_many([registry_key(model, sequence) for sequence in sequences])
    return [
        Entry(sequence=sequence, decision=json.loads(data))
        for sequence, data in zip(sequences, found, strict=True)
    ]


def champion(store: RecordStore, model: str) -> Mapping[str, Any] | None:
    """The newest decision that promoted a candidate; None while there is no champion."""
    for sequence in reversed(_sequences(store, model)):
        decision: Mapping[str, Any] = json.loads(store.get(registry_key(model, sequence)))
        if decision.get("promoted"):
            return decision
    return None


def _sequences(store: RecordStore, model: str) -> list[int]:
    names = (entry.key.rsplit("/", 1)[-1] for entry in store.list(registry_prefix(model)))
    return sorted(int(name.removesuffix(".json")) for name in names if name[:8].isdigit())
