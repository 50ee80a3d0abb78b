"""Do records survive JSON, and do their keys name what they are about and nothing else?"""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.tracking.records import (
    BadRecord,
    Checkpoint,
    File,
    Metrics,
    Promotion,
    Record,
    canonical,
    from_json,
    key,
    to_json,
)

texts = st.text(max_size=20)
numbers = st.floats(allow_nan=False)
steps = st.integers(min_value=0, max_value=10**12)
times = st.integers(min_value=0, max_value=2**45)
values = st.dictionaries(texts, numbers, max_size=4)
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
facts = st.dictionaries(texts, plain_json, max_size=4)
datasets = st.none() | st.fixed_dictionaries({"name": texts, "digest": texts})

metrics = st.builds(
    Metrics,
    values=values,
    step=steps,
    checkpoint=st.none() | texts,
    dataset=datasets,
    shard=st.none() | st.integers(0, 10**6),
    time_ms=times,
)
checkpoints = st.builds(
    Checkpoint, uri=texts, step=steps, metrics=values, facts=facts, time_ms=times
)
files = st.builds(File, name=texts, time_ms=times)
promotions = st.builds(Promotion, model=texts, sequence=steps, decision=facts, time_ms=times)
records = st.one_of(metrics, checkpoints, files, promotions)


@given(records)
def test_a_record_comes_back_from_json_as_it_went_in(record: Record) -> None:
    assert from_json(to_json(record)) == record


@given(records)
def test_equal_records_give_equal_bytes(record: Record) -> None:
    assert to_json(from_json(to_json(record))) == to_json(record)


@given(records, times)
def test_the_key_does_not_depend_on_the_time(record: Record, time_ms: int) -> None:
    assert key(replace(record, time_ms=time_ms)) == key(record)


@given(metrics, numbers)
def test_the_key_does_not_depend_on_the_measured_values(record: Metrics, value: float) -> None:
    again = replace(record, values=dict.fromkeys(record.values, value))
    assert key(again) == key(record)


@given(records)
def test_a_key_is_a_plain_file_name(record: Record) -> None:
    assert set(key(record)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


BASE = Metrics(values={"f1": 0.5}, step=1, checkpoint="u", dataset={"name": "math", "digest": "1"})


@pytest.mark.parametrize(
    "other",
    [
        replace(BASE, step=2),  # a later measurement
        replace(BASE, checkpoint="v"),  # another model
        replace(BASE, checkpoint=None),  # the run itself
        replace(BASE, dataset={"name": "gsm8k", "digest": "1"}),  # another benchmark
        replace(BASE, dataset={"name": "math", "digest": "2"}),  # other rows of the same one
        replace(BASE, values={"accuracy": 0.5}),  # another quantity
        replace(BASE, shard=3),  # another shard of a map stage
        Checkpoint(uri="u", step=1),  # another kind
    ],
)
def test_records_about_different_things_have_different_keys(other: Record) -> None:
    assert key(other) != key(BASE)


def test_nan_and_infinity_survive_without_leaving_json() -> None:
    record = Metrics(values={"a": math.nan, "b": math.inf, "c": -math.inf}, time_ms=1)
    data = to_json(record)
    json.loads(data, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    back = from_json(data)
    assert isinstance(back, Metrics)
    assert math.isnan(back.values["a"])
    assert (back.values["b"], back.values["c"]) == (math.inf, -math.inf)


@given(st.binary(max_size=60) | facts.map(canonical) | plain_json.map(json.dumps).map(str.encode))
def test_anything_else_is_a_bad_record(data: bytes) -> None:
    with pytest.raises(BadRecord, match="Not a tracking record"):
        from_json(data)


def test_what_json_has_no_word_for_becomes_its_text() -> None:
    assert canonical({"rule": {1, 2} - {2}, "items": (1, 2)}) == b'{"items":[1,2],"rule":"{1}"}'
