"""Pairs of the same orientation against others, where it is known what they share."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.spread.chance.same_orientation import (
    FEWEST_SPOTS,
    EntryColumns,
    compare_orientations,
)

N_UNIQUE, PER_IMAGE, CRYSTALS, PER_CRYSTAL = 120, 24, 6, 8


def simulate(seed, s=0.2, shared=0.0, of_images=0.0, tails=False):
    """
    Images of which the p-th of a crystal is of the same orientation as that of the next.

    Returns all observations, and those of the common spots of these pairs.
    """
    rng = np.random.default_rng(seed)
    mu = 50 + 100 * rng.exponential(1, N_UNIQUE)
    crystal_of = np.repeat(np.arange(CRYSTALS), PER_CRYSTAL)
    n_images = len(crystal_of)
    orientation = np.arange(n_images) % PER_CRYSTAL
    common = [
        rng.choice(N_UNIQUE, PER_IMAGE, replace=False) for _ in range(PER_CRYSTAL)
    ]
    pattern = rng.standard_normal((PER_CRYSTAL, N_UNIQUE))
    unique = np.concatenate([common[o] for o in orientation])
    image = np.repeat(np.arange(n_images), PER_IMAGE)
    e = rng.standard_normal(len(unique))
    if tails:
        e = np.exp(e) - np.exp(0.5)
        e /= np.sqrt((np.e - 1) * np.e)
    e = np.sqrt(shared) * pattern[orientation[image], unique] + np.sqrt(1 - shared) * e
    factor = np.exp(of_images * rng.standard_normal(n_images))[image]
    true = mu[unique] * (1 + s * e) * factor
    intensity = true + 5 * rng.standard_normal(len(unique))
    entries = EntryColumns(
        image, crystal_of[image], unique, intensity, np.full(len(unique), 25.0)
    )
    # Every reflection occurs at other orientations, too.
    place = {(i, u): k for k, (i, u) in enumerate(zip(image, unique))}
    a, b = [], []
    for i in range(n_images - PER_CRYSTAL):
        for u in common[orientation[i]]:
            a.append(place[i, u])
            b.append(place[i + PER_CRYSTAL, u])
    return entries, np.array(a), np.array(b)


def compare(entries, a, b, s=0.2, **choices):
    n_pairs = len(a) // PER_IMAGE
    rng = np.random.default_rng(0)
    return compare_orientations(entries, a, b, n_pairs, s, rng, nproc=1, **choices)


@pytest.mark.parametrize(
    "choices",
    [{}, {"s": 0.0}, {"s": 0.6, "tails": True}, {"of_images": 0.2}],
    ids=["error", "counting", "tails", "images"],
)
def test_nothing_is_claimed_where_nothing_is_shared(choices):
    found = [
        compare(*simulate(seed, **choices), s=choices.get("s", 0.2))
        for seed in range(30)
    ]
    assert sum(f.shown for f in found) <= 2
    assert np.mean([f.p_value <= 0.05 for f in found]) <= 0.15
    assert 0.3 < np.mean([f.p_value for f in found]) < 0.7
    if choices == {}:
        # Neither spread is lower than it is, as medians of few spots are.
        for name in ("s_within", "s_others"):
            square = [getattr(f, name) ** 2 for f in found]
            assert np.mean(square) == pytest.approx(0.04, rel=0.05)
        held = [f.ratio_low <= 1 <= f.ratio_high for f in found]
        assert np.mean(held) >= 0.85
        assert np.mean([f.ratio for f in found]) == pytest.approx(1, abs=0.02)


def test_what_is_shared_is_found_and_measured():
    found = [compare(*simulate(seed, shared=0.5)) for seed in range(8)]
    assert all(f.shown and f.ratio_low < f.ratio < f.ratio_high for f in found)
    assert all(f.pairs_needed < f.n_pairs for f in found)
    within = np.sqrt(np.mean([f.s_within**2 for f in found]))
    assert within == pytest.approx(0.2 * np.sqrt(0.5), rel=0.1)
    ratios = [f.ratio for f in found]
    # The other pairs hold those two crystals on, which share the orientation, too.
    assert np.sqrt(0.5) - 0.02 < np.mean(ratios) < 0.9


def test_what_is_needed_is_what_shows_it():
    """Four times as many crystals halve the error, so that a quarter is needed."""
    found = [compare(*simulate(seed, shared=0.1)) for seed in range(12)]
    assert np.median([f.ratio_seen for f in found]) < 1
    assert np.median([f.pairs_needed / f.n_pairs for f in found]) > 0
    for f in found:
        if np.isfinite(f.pairs_needed):
            assert (f.pairs_needed < f.n_pairs) == (f.ratio < f.ratio_seen)


def test_order_of_images_crystals_and_units_change_nothing():
    entries, a, b = simulate(3, shared=0.2)
    one = compare(entries, a, b)
    rng = np.random.default_rng(5)
    side = rng.random(len(a)) < 0.5
    exchanged = compare(entries, np.where(side, a, b), np.where(side, b, a))
    k = 1000.0
    brighter = entries._replace(
        intensity=k * entries.intensity, variance=k**2 * entries.variance
    )
    order = rng.permutation(len(entries.image))
    place = np.argsort(order)
    shuffled = EntryColumns(*(x[order] for x in entries))
    renamed = entries._replace(
        crystal=rng.permutation(CRYSTALS)[entries.crystal],
        image=rng.permutation(CRYSTALS * PER_CRYSTAL)[entries.image],
    )
    for other in (
        exchanged,
        compare(brighter, a, b),
        compare(shuffled, place[a], place[b]),
        compare(renamed, a, b),
    ):
        for name in ("s_within", "s_others", "ratio"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9)
        assert other.p_value == pytest.approx(one.p_value, abs=0.02)
        assert (other.n_spots, other.n_crystals) == (one.n_spots, one.n_crystals)
    assert exchanged.p_value == one.p_value


def test_too_little_data_is_said():
    entries, a, b = simulate(0)
    few = compare_orientations(entries, a[:9], b[:9], 1, 0.2, np.random.default_rng(0))
    assert not few.shown and np.isnan(few.p_value)
    assert f"of which there are 9, have to be {FEWEST_SPOTS}" in few.reason
    untested = compare(entries, a, b, test=False)
    assert np.isnan(untested.p_value) and untested.ratio > 0 and not untested.shown
