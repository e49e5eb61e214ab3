"""The distribution a character is drawn from, against definitions in plain Python."""

import itertools
import math
import random
import warnings
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.distribution import (
    Probabilities,
    allowed,
    draw,
    draw_each,
    drawer,
    min_p,
    probabilities,
    soften,
    top_k,
    top_p,
    uniforms,
)
from charrnn.settings import SamplingSettings

# Small whole numbers, so that equally likely characters and impossible ones are common.
weights = st.lists(st.integers(0, 12), min_size=1, max_size=24).filter(any)
logits = st.lists(
    st.integers(-3, 3).map(float) | st.floats(-40, 40, width=32), min_size=1, max_size=24
)
# Never what characters sum to exactly, where it is for rounding to say which side a cut falls.
shares = st.integers(0, 1008).map(lambda number: (number + 0.5) / 1009)


def scaled(numbers: list[int] | list[float]) -> Probabilities:
    total = math.fsum(numbers)
    return np.array([number / total for number in numbers])


def ranked(p: Probabilities) -> list[int]:
    """Ids by likelihood, equals by id."""
    return sorted(range(len(p)), key=lambda number: (-p[number], number))


def only(p: Probabilities, kept: list[int]) -> Probabilities:
    return scaled([p[number] if number in kept else 0.0 for number in range(len(p))])


def plain_softmax(values: list[float], temperature: float) -> Probabilities:
    if temperature == 0.0:
        return scaled([float(number == values.index(max(values))) for number in range(len(values))])
    return scaled([math.exp((value - max(values)) / temperature) for value in values])


def plain_top_k(p: Probabilities, k: int) -> Probabilities:
    return only(p, ranked(p)[:k])


def plain_top_p(p: Probabilities, share: float) -> Probabilities:
    kept, total = [], 0.0
    for number in ranked(p):
        kept.append(number)
        total += p[number]
        if total >= share:
            break
    return only(p, kept)


def plain_min_p(p: Probabilities, share: float) -> Probabilities:
    return only(p, [number for number in range(len(p)) if p[number] >= share * max(p)])


def same(found: Probabilities, expected: Probabilities) -> bool:
    """The same characters possible, and equally likely but for rounding."""
    return found.dtype == np.float64 and bool(
        ((found > 0) == (expected > 0)).all() and np.allclose(found, expected, rtol=1e-9, atol=0)
    )


# Each against its definition


@settings(deadline=None, max_examples=200)
@given(logits, st.floats(0.05, 20))
def test_soften_is_the_softmax_of_logits_over_temperature(
    values: list[float], temperature: float
) -> None:
    assert same(soften(np.array(values), temperature), plain_softmax(values, temperature))


@settings(deadline=None, max_examples=200)
@given(weights, st.integers(1, 30))
def test_top_k_keeps_the_k_likeliest(numbers: list[int], k: int) -> None:
    p = scaled(numbers)
    assert same(top_k(p, k), plain_top_k(p, k))


@settings(deadline=None, max_examples=200)
@given(weights, shares)
def test_top_p_keeps_the_fewest_that_make_up_the_share(numbers: list[int], share: float) -> None:
    p = scaled(numbers)
    assert same(top_p(p, share), plain_top_p(p, share))


@settings(deadline=None, max_examples=200)
@given(weights, st.floats(0, 1))
def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest(
    numbers: list[int], share: float
) -> None:
    p = scaled(numbers)
    assert same(min_p(p, share), plain_min_p(p, share))


@settings(deadline=None, max_examples=300)
@given(
    logits,
    st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    st.integers(0, 30),
    st.just(1.0) | shares,
    st.just(0.0) | st.floats(0, 1),
)
def test_they_apply_in_order_each_to_what_the_one_before_it_left(
    values: list[float], temperature: float, k: int, share: float, least: float
) -> None:
    expected = plain_softmax(values, temperature)
    if k:
        expected = plain_top_k(expected, k)
    if share < 1:
        expected = plain_top_p(expected, share)
    if least:
        expected = plain_min_p(expected, least)
    chosen = SamplingSettings(temperature=temperature, top_k=k, top_p=share, min_p=least)
    found = probabilities(np.array(values), chosen)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    assert (found >= 0).all()
    assert same(found, expected)


def after(p: list[float], **chosen: float) -> list[float]:
    with np.errstate(divide="ignore"):
        found = probabilities(np.log(np.array(p)), SamplingSettings(**chosen))  # type: ignore[arg-type]
    return [round(float(number), 6) for number in found]


def test_top_p_counts_in_what_top_k_left() -> None:
    """In the whole distribution 0.6 takes two characters, in the rescaled one the first."""
    assert after([0.5, 0.3, 0.2], top_k=2, top_p=0.6) == [1.0, 0.0, 0.0]
    assert after([0.5, 0.3, 0.2], top_p=0.6) == [0.625, 0.375, 0.0]


def test_min_p_comes_after_top_p() -> None:
    """Before it, it would leave so little that top-p could do with two characters."""
    assert after([0.4, 0.3, 0.2, 0.1], top_p=0.75, min_p=0.4) == [0.444444, 0.333333, 0.222222, 0.0]


def test_the_temperature_comes_before_every_cut() -> None:
    assert after([0.6, 0.3, 0.1], top_p=0.65) == [0.666667, 0.333333, 0.0]
    assert after([0.6, 0.3, 0.1], temperature=0.5, top_p=0.65) == [1.0, 0.0, 0.0]


def test_nothing_is_cut_when_nothing_is_asked_for() -> None:
    p = [0.4, 0.3, 0.2, 0.1]
    assert after(p) == after(p, top_k=0, top_p=1.0, min_p=0.0) == p


# Equals


@settings(deadline=None, max_examples=100)
@given(weights, st.integers(1, 30))
def test_top_k_never_leaves_more_than_k(numbers: list[int], k: int) -> None:
    assert np.count_nonzero(top_k(scaled(numbers), k)) <= k


@pytest.mark.parametrize("size", [5, 17, 300])
def test_of_equals_the_lower_ids_are_kept(size: int) -> None:
    """Sizes on both sides of where sorting algorithms change over."""
    flat = np.full(size, 1 / size)
    assert np.flatnonzero(top_k(flat, 3)).tolist() == [0, 1, 2]
    assert np.flatnonzero(top_p(flat, 2.5 / size)).tolist() == [0, 1, 2]
    assert np.flatnonzero(soften(np.zeros(size), 0.0)).tolist() == [0]


# Temperatures


@settings(deadline=None, max_examples=100)
@given(logits)
def test_temperature_0_is_the_likeliest_and_of_equals_the_lowest_id(values: list[float]) -> None:
    p = soften(np.array(values), 0.0)
    assert p.tolist() == [float(number == values.index(max(values))) for number in range(len(p))]


@pytest.mark.parametrize("temperature", [1e-3, 1e-20, 1e-300, 5e-324])
def test_a_tiny_temperature_is_almost_0_and_no_accident(temperature: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = soften(np.array([1.0, 30.0, -5.0, 30.0], dtype=np.float32), temperature)
    assert p.tolist() == [0.0, 0.5, 0.0, 0.5]


@pytest.mark.parametrize("temperature", [1e3, 1e300])
def test_a_huge_temperature_makes_all_alike(temperature: float) -> None:
    p = soften(np.array([3.0, -3.0, 0.0, 1.0]), temperature)
    assert p == pytest.approx([0.25] * 4, abs=1e-2)


def test_large_logits_do_not_overflow() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert soften(np.array([1e30, 1e30, -1e30]), 1.0).tolist() == [0.5, 0.5, 0.0]


def test_a_higher_temperature_spreads_and_a_lower_one_gathers() -> None:
    values = np.array([2.0, 1.0, 0.0])
    likeliest = [soften(values, temperature).max() for temperature in (0.2, 0.5, 1.0, 2.0, 5.0)]
    assert likeliest == sorted(likeliest, reverse=True)
    assert len(set(likeliest)) == 5


def test_single_precision_logits_are_worked_on_in_double() -> None:
    values = np.array([0.1, 0.7, -1.3], dtype=np.float32)
    assert same(soften(values, 0.9), plain_softmax([float(value) for value in values], 0.9))


def test_logits_are_left_as_they_are() -> None:
    values = np.array([0.1, 0.7, -1.3])
    chosen = SamplingSettings(temperature=0.5, top_k=2, top_p=0.9, min_p=0.1)
    probabilities(values, chosen)
    assert values.tolist() == [0.1, 0.7, -1.3]


def test_one_character_is_certain_whatever_is_asked() -> None:
    for temperature in (0.0, 1.0):
        chosen = SamplingSettings(temperature=temperature, top_k=1, top_p=0.01, min_p=1.0)
        assert probabilities(np.array([-7.0]), chosen).tolist() == [1.0]


# Drawing


def test_draw_is_the_inverse_of_the_cumulative_sums_to_the_last_bit() -> None:
    p = np.array([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    below = math.nextafter
    drawn = {
        0.0: 1,
        below(0.25, 0): 1,
        0.25: 3,
        0.5: 3,
        below(0.75, 0): 3,
        0.75: 4,
        below(1.0, 0): 4,
    }
    assert {uniform: draw(p, uniform) for uniform in drawn} == drawn


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 63), min_size=1, max_size=20), st.integers(0, 2**20 - 1))
def test_draw_agrees_with_exact_arithmetic(cuts: list[int], numerator: int) -> None:
    """Sixty-fourths are exact in binary, and so are their sums."""
    edges = [0, *sorted(cuts), 64]
    p = np.diff(edges) / 64
    exact = Fraction(numerator, 2**20)
    expected = next(i for i in range(len(p)) if Fraction(edges[i + 1], 64) > exact)
    assert draw(p, numerator / 2**20) == expected


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.just(0.0) | st.floats(0, 1), min_size=1, max_size=40).filter(any),
    st.floats(0, 1, exclude_max=True) | st.just(math.nextafter(1.0, 0)),
)
def test_draw_never_draws_what_is_impossible(numbers: list[float], uniform: float) -> None:
    p = np.array(numbers)
    assert p[draw(p, uniform)] > 0


@pytest.mark.parametrize("uniform", [0.0, 0.3, math.nextafter(1.0, 0)])
def test_draw_keeps_to_the_vocabulary_when_the_sum_falls_short_of_one(uniform: float) -> None:
    p = np.array([0.0] + [0.1] * 10 + [0.0])  # adds up to 0.9999999999999999
    assert np.cumsum(p)[-1] < 1.0
    assert 1 <= draw(p, uniform) <= 10


def test_draws_are_as_frequent_as_they_are_likely() -> None:
    """Pearson's chi-square; 24.3 is passed once in a thousand seeds, and the seed is fixed."""
    p = np.array([0.3, 0.0, 0.2, 0.15, 0.15, 0.1, 0.05, 0.04, 0.01])
    source, count = random.Random(1), 20_000
    drawn = np.bincount([draw(p, source.random()) for _ in range(count)], minlength=len(p))
    assert drawn[1] == 0
    possible = p > 0
    squares = (drawn - count * p)[possible] ** 2 / (count * p[possible])
    assert squares.sum() < 24.3


def test_uniforms_are_the_same_on_every_machine():
    """PCG64's raw stream, 53 bits of each number."""
    first = list(itertools.islice(uniforms(7), 2_500))
    assert first[:2] == [0.625095466604667, 0.8972138009695755]
    assert all(0.0 <= u < 1.0 for u in first)
    assert len(set(first)) == 2_500
    assert np.mean(first) == pytest.approx(0.5, abs=0.03)


def test_uniforms_go_on_after_any_number_of_them_at_once():
    first = list(itertools.islice(uniforms(7), 2_500))
    for skipped in 1, 1_000, 1_024, 2_400:
        assert list(itertools.islice(uniforms(7, skipped), 100)) == first[skipped:][:100]
    assert 0.0 <= next(uniforms(7, 2**63 - 1)) < 1.0


# The quick way


CUTS = {"top_k": (2, 7), "top_p": (0.31, 0.7), "min_p": (0.05, 0.21)}
OPTIONS = st.fixed_dictionaries(
    {"temperature": st.sampled_from([0.0, 1e-3, 0.5, 1.0, 3.0])},
    optional={name: st.sampled_from(values) for name, values in CUTS.items()},
)
EDGES = st.sampled_from([0.0, 1 - 2**-53]) | st.floats(0, 1, exclude_max=True)


def distribution_of(draw_with: Callable[[float], int], size: int) -> Probabilities:
    """What a way of drawing draws how often, to 1e-9: where the number changes what is drawn."""
    found, lower = np.zeros(size), 0.0
    while lower < 1.0:
        drawn, upper = draw_with(lower), 1.0
        inside, outside = lower, upper
        if draw_with(math.nextafter(1.0, 0)) != drawn:
            while outside - inside > 1e-12:
                middle = (inside + outside) / 2
                inside, outside = (
                    (middle, outside) if draw_with(middle) == drawn else (inside, middle)
                )
            upper = outside
        found[drawn] += upper - lower
        lower = upper
    return found


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(-9, 9).map(float), min_size=1, max_size=12), OPTIONS, st.data())
def test_the_quick_way_draws_every_character_as_often_as_is_defined(values, options, data):
    """Each option, each pair of them and all together; some characters may be forbidden."""
    chosen, given = SamplingSettings(**options), np.array(values, np.float32)
    some = st.lists(st.booleans(), min_size=len(values), max_size=len(values))
    forbidden = data.draw(st.none() | some.map(np.array))
    left = given if forbidden is None else allowed(given, forbidden)
    quick, expected = drawer(len(values), chosen), probabilities(left, chosen)
    with np.errstate(over="ignore"):
        found = distribution_of(lambda uniform: quick(given, uniform, forbidden), len(values))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert (given == np.array(values, np.float32)).all()


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 9).flatmap(
        lambda size: st.lists(
            st.lists(st.integers(-9, 9).map(float), min_size=size, max_size=size),
            min_size=1,
            max_size=5,
        )
    ),
    OPTIONS,
    st.data(),
)
def test_many_side_by_side_are_drawn_each_as_if_alone(streams, options, data):
    chosen = SamplingSettings(**options)
    temperatures = [data.draw(st.sampled_from([0.0, 0.5, 1.0])) for _ in streams]
    uniforms = [data.draw(EDGES) for _ in streams]
    together = draw_each(
        np.array(streams, np.float32).T, np.array(uniforms), chosen, np.array(temperatures)
    )
    for drawn, values, temperature, uniform in zip(
        together, streams, temperatures, uniforms, strict=True
    ):
        p = probabilities(np.array(values, np.float32), chosen, temperature)
        if drawn != draw(p, uniform):  # a number between two sums that are rounded apart
            assert abs(np.cumsum(p)[min(drawn, draw(p, uniform))] - uniform) < 1e-12
        assert p[drawn] > 0


def test_each_option_for_many_is_that_for_one():
    values = np.random.default_rng(0).standard_normal((9, 4)) * 3
    for options in [{}, {"top_k": 3}, {"top_p": 0.6}, {"min_p": 0.3}, {"temperature": 0.0}]:
        chosen = SamplingSettings(**options)
        together = probabilities(values, chosen)
        for column in range(4):
            assert (together[:, column] == probabilities(values[:, column], chosen)).all()


@pytest.mark.parametrize(
    ("size", "share", "kept"), [(10, 0.8, 8), (20, 0.7, 14), (65, 0.6, 39), (3, 1 / 3, 1)]
)
def test_a_share_that_is_reached_but_for_rounding_is_reached(size, share, kept):
    chosen, flat = SamplingSettings(top_p=share), np.zeros(size, np.float32)
    assert np.count_nonzero(probabilities(flat, chosen)) == kept
    assert drawer(size, chosen)(flat, math.nextafter(1.0, 0), None) == kept - 1


def test_a_draw_does_not_depend_on_the_temperature_of_the_one_beside_it():
    """To the last bit: numbers on the very edge between two characters."""
    values = np.random.default_rng(0).standard_normal(9).astype(np.float32)
    sums = np.cumsum(np.exp(values.astype(np.float64) - values.max()))
    logits = np.stack([values, values], axis=1)
    for edge in sums[:-1] / sums[-1]:
        for number in (math.nextafter(edge, 0), edge, math.nextafter(edge, 1)):
            numbers = np.array([number, 0.5])
            hot, cold = (
                draw_each(logits, numbers, SamplingSettings(), np.array([1.0, beside]))[0]
                for beside in (1.0, 0.0)
            )
            assert hot == cold


# What is forbidden


@settings(deadline=None, max_examples=200)
@given(logits, st.data())
def test_what_is_forbidden_is_left_out_before_everything_else(values, data):
    forbidden = np.array([data.draw(st.booleans()) for _ in values])
    left = allowed(np.array(values), forbidden)
    if forbidden.all():
        forbidden = np.arange(len(values)) != values.index(max(values))
    p = probabilities(left, SamplingSettings())
    assert same(
        p, only(plain_softmax(values, 1.0), [n for n in range(len(values)) if not forbidden[n]])
    )
    assert not probabilities(left, SamplingSettings(top_k=1))[forbidden].any()


def test_of_many_each_has_its_own_forbidden_ones():
    values = np.array([[3.0, 3.0, 3.0], [2.0, 2.0, 2.0], [1.0, 4.0, 1.0]])
    forbidden = np.array([[True, True, False], [False, True, False], [False, True, False]])
    p = probabilities(allowed(values, forbidden), SamplingSettings(temperature=0.0))
    assert p.argmax(axis=0).tolist() == [1, 2, 0]


def test_a_hundred_thousand_draws_are_as_frequent_as_they_are_likely():
    """Pearson's chi-square with 11 degrees of freedom passes 31.3 once in a thousand seeds."""
    chosen, count = SamplingSettings(temperature=0.8, top_k=12), 100_000
    values = np.random.default_rng(3).standard_normal(20).astype(np.float32)
    p, quick = probabilities(values, chosen), drawer(20, chosen)
    numbers = itertools.islice(uniforms(11), count)
    drawn = np.bincount([quick(values, number, None) for number in numbers], minlength=20)
    possible = p > 0
    assert possible.sum() == 12
    assert not drawn[~possible].any()
    squares = (drawn - count * p)[possible] ** 2 / (count * p[possible])
    assert squares.sum() < 31.3


@pytest.mark.parametrize("cuts", [{}, {"temperature": 0.0}, {"top_k": 3}, {"temperature": 2.0}])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nothing_is_drawn_from_what_is_no_number(cuts, bad):
    of = drawer(4, SamplingSettings(**cuts))
    with np.errstate(invalid="ignore"):
        assert of(np.array([0.5, bad, 1.0, -2.0], np.float32), 0.5) == -1
        assert of(np.array([0.5, 0.0, 1.0, -2.0], np.float32), 0.5) >= 0


@pytest.mark.parametrize("offset", [0.0, 200.0, 600.0, 1e4, -600.0, -1e4])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_what_is_drawn_does_not_depend_on_how_large_all_logits_are(offset, temperature):
    chosen, values = SamplingSettings(temperature=temperature), np.array([0.0, 1.0, -2.0])
    of, numbers = drawer(3, chosen), np.linspace(0, 1, 500, endpoint=False)
    plain = [of(values, uniform) for uniform in numbers]
    with np.errstate(over="ignore"):
        assert [of(values + offset, uniform) for uniform in numbers] == plain


def test_every_character_can_be_drawn_quickly_and_no_impossible_one():
    values = np.array([-800.0, 0.0, 0.0, -800.0], np.float32)
    of = drawer(4, SamplingSettings())
    assert {of(values, uniform) for uniform in np.linspace(0, 1, 1001)[:-1]} == {1, 2}
    assert of(values, 1 - 2**-53) == 2
