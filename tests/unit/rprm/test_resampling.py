"""Does resampling whole problems agree with closed forms and with scipy?"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.benchmarks import resampling
from rprm.benchmarks.resampling import Floats, compared, interval, intervals, paired, percentiles
from rprm.errors import BadInput


def share(sums_RC: Floats) -> Floats:
    """Of the second sum, in percent; what every accuracy is."""
    with np.errstate(invalid="ignore"):
        return np.asarray(100 * sums_RC[:, 0] / sums_RC[:, 1])


def answers(*values: float) -> Floats:
    return np.array([[value, 1.0] for value in values])


def drawn(rate: float, *, number: int, seed: int) -> Floats:
    return answers(*(np.random.default_rng(seed).random(number) < rate).astype(float))


def width(found: resampling.Interval) -> float:
    return found.high - found.low


def test_the_interval_of_a_mean_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=80)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=8000, method="percentile", rng=2
    ).confidence_interval
    ours = interval([answers(*values)], share, num_resamples=8000)
    spread = values.std() / math.sqrt(80)
    assert ours.estimate == pytest.approx(100 * values.mean())
    assert ours.low / 100 == pytest.approx(theirs.low, abs=0.1 * spread)
    assert ours.high / 100 == pytest.approx(theirs.high, abs=0.1 * spread)


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    ours = interval([answers(*[1.0] * 140, *[0.0] * 60)], share, num_resamples=20_000)
    low, high = scipy.stats.binom.ppf([0.025, 0.975], 200, 0.7) / 2
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.51)  # one answer is 0.5


def test_the_interval_of_a_mean_is_near_the_t_and_the_normal_interval() -> None:
    values = np.random.default_rng(3).normal(50, 10, size=400)
    ours = interval([answers(*(values / 100))], share, num_resamples=20_000)
    error = values.std(ddof=1) / 20
    for law in (scipy.stats.t(399), scipy.stats.norm()):
        low, high = law.interval(0.95)
        assert ours.low == pytest.approx(values.mean() + low * error, abs=0.06)
        assert ours.high == pytest.approx(values.mean() + high * error, abs=0.06)


def test_the_spread_of_clusters_is_that_of_their_means() -> None:
    sizes = np.full(100, 4.0)
    right = np.random.default_rng(4).binomial(1, 0.5, size=100) * 4.0  # all alike in a cluster
    found = interval([np.stack([right, sizes], axis=1)], share, num_resamples=8000)
    mean = right.mean() / 4
    error = 100 * math.sqrt(mean * (1 - mean) / 100)
    assert width(found) == pytest.approx(2 * 1.96 * error, rel=0.06)


def test_the_variance_of_a_mean_over_strata_adds_up() -> None:
    strata = [drawn(rate, number=150, seed=seed) for seed, rate in enumerate((0.3, 0.6, 0.9))]
    drawn_R = resampling.resample([strata], [share], num_resamples=8000, seed=0)[0, 0]
    rates = [stratum[:, 0].mean() for stratum in strata]
    expected = math.sqrt(sum(rate * (1 - rate) / 150 for rate in rates)) / 3
    assert drawn_R.std() == pytest.approx(100 * expected, rel=0.04)
    assert drawn_R.mean() == pytest.approx(100 * np.mean(rates), abs=0.2)


def test_pairing_takes_twice_the_covariance_off_the_variance() -> None:
    theirs = drawn(0.5, number=400, seed=5)
    ours = theirs.copy()
    ours[:40, 0] = 1.0  # the systems differ on a tenth of the problems only
    found = paired([ours], [theirs], share, num_resamples=8000)
    closed = 100 * (ours[:, 0] - theirs[:, 0]).std() / math.sqrt(400)
    assert width(found.difference) == pytest.approx(2 * 1.96 * closed, rel=0.06)
    apart = math.hypot(width(interval([ours], share)), width(interval([theirs], share)))
    assert width(found.difference) < apart / 2
    assert found.p_value < 0.01


def test_the_p_value_is_the_normal_tail() -> None:
    gain = np.random.default_rng(6).normal(0.05, 1, size=900)
    theirs = answers(*np.zeros(900))
    found = paired([answers(*gain)], [theirs], share, num_resamples=8000)
    tail = scipy.stats.norm.sf(gain.mean() / (gain.std() / 30))
    assert found.p_value == pytest.approx(tail, abs=0.02)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(7)
    hits = 0
    for _ in range(200):
        ability = random.beta(3, 3, size=80)[:, None]  # answers of one problem are alike
        right = (random.random((80, 5)) < ability).sum(axis=1)
        sums = np.stack([right, np.full(80, 5)], axis=1).astype(float)
        found = interval([sums], share, num_resamples=300)
        hits += found.low <= 50 <= found.high
    assert 0.90 <= hits / 200 <= 0.985


def test_several_metrics_share_their_resamples() -> None:
    sums = drawn(0.6, number=50, seed=8)
    both = intervals([sums], {"right": share, "wrong": lambda rows: 100 - share(rows)})
    assert both["right"] == interval([sums], share)
    assert both["wrong"].low == pytest.approx(100 - both["right"].high)


def test_many_problems_are_resampled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = drawn(0.6, number=50, seed=9)
    whole = interval([sums], share)
    monkeypatch.setattr(resampling, "_WEIGHTS", 350)
    assert interval([sums], share) == whole


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    level=st.floats(0.5, 0.99),
    seed=st.integers(0, 9),
)
@settings(max_examples=50)
def test_an_interval_is_ordered_and_within_the_data(
    values: list[float], level: float, seed: int
) -> None:
    found = interval([answers(*values)], share, num_resamples=50, level=level, seed=seed)
    slack = 1e-9
    assert 100 * min(values) - slack <= found.low <= found.high <= 100 * max(values) + slack
    assert found.level == level


def test_resamples_without_a_value_are_left_out() -> None:
    rare = np.array([[1.0, 1.0], *[[0.0, 0.0]] * 3])
    found = interval([rare], share)
    assert (found.estimate, found.low, found.high) == (100, 100, 100)
    nothing = interval([np.zeros((3, 2))], share)
    assert math.isnan(nothing.estimate)
    assert math.isnan(nothing.low)


def test_a_resample_without_a_value_is_no_gain() -> None:
    found = compared(1.0, np.array([1.0, 2.0, np.nan]))
    assert found.p_value == 2 / 4
    assert percentiles(1.0, np.array([1.0, np.nan])).high == 1


@pytest.mark.parametrize(
    ("strata", "what"),
    [
        ([], "no outcome"),  # no stratum
        ([np.zeros((0, 2))], "no outcome"),  # a stratum without problems
    ],
)
def test_nothing_cannot_be_resampled(strata: list[Floats], what: str) -> None:
    with pytest.raises(BadInput, match=what):
        interval(strata, share)


def test_other_problems_are_not_paired() -> None:
    with pytest.raises(BadInput, match="same problems"):
        paired([answers(1.0)], [answers(1.0, 0.0)], share)
