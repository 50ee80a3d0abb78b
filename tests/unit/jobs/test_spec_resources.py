"""Are durations and amounts of memory read as people write them?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.spec.resources import Resources, Retries, overlay, parse_duration, parse_memory


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("500ms", 0.5),  # ms is not minutes and seconds
        ("1.5h", 5400.0),
        ("2d", 172800.0),
        ("0s", 0.0),
    ],
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    [30, 1.5, True, None, "", "30", "s", "-3s", "1 h", "1h30", "9999d", [1], "1" * 50 + "s"],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"duration|unit|year"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [
        ("2Gi", 2 * 1024**3),
        ("500M", 500 * 1000**2),  # decimal, as in Kubernetes
        ("1.5Gi", 3 * 1024**3 // 2),
        ("2048Ki", 2 * 1024**2),
    ],
)
def test_memory_has_units(text: str, num_bytes: int) -> None:
    assert parse_memory(text) == num_bytes


@pytest.mark.parametrize("value", [2, 2.5, True, None, "2", "2GB", "Gi", "-1Gi", "1k", "1e9", {}])
def test_what_is_no_amount_of_memory_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"memory|unit|less than"):
        parse_memory(value)


@given(st.integers(0, 100_000), st.sampled_from(["ms", "s", "m"]))
def test_a_duration_grows_with_its_number(number: int, unit: str) -> None:
    assert parse_duration(f"{number}{unit}") < parse_duration(f"{number + 1}{unit}")


@given(st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.lists(st.integers())))
def test_any_value_is_a_quantity_or_a_value_error(value: object) -> None:
    for parse in (parse_duration, parse_memory):
        try:
            assert parse(value) >= 0
        except ValueError:
            continue


def test_a_stage_overlays_only_what_it_says() -> None:
    base = Resources.model_validate({"cpus": 4, "memory": "8Gi"})
    top = Resources.model_validate({"cpus": 1})  # the default, yet said
    merged = overlay(base, top)
    assert (merged.cpus, merged.memory_bytes, merged.gpus) == (1, 8 * 1024**3, 0)
    assert overlay(Retries(), Retries.model_validate({"backoff": "5s"})).backoff_s == 5.0
