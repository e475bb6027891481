"""Tables with a known spread: every part is found, inside its interval."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from dials_spread.simulation.tables import (
    KnownSpread,
    SimulatedTable,
    directions_in_cap,
    make_table,
)
from dials_spread.spread.size.residuals import mean_levels, residuals_of_arrays
from dials_spread.spread.size.size import deviations, spread_interval
from dials_spread.spread.sources.components import variance_components
from dials_spread.spread.sources.factors import crystal_moments, fit_factors
from dials_spread.spread.variogram.pair_inputs import pair_weights
from dials_spread.spread.variogram.pair_table import (
    sum_pairs,
)
from dials_spread.spread.variogram.variogram import build_variogram
from dials_spread.statistics.bootstrap import group_crystals
from dials_spread.statistics.excess_spread import likelihood_table, most_likely

N_DRAWS = 60
"""With 100 of them: benchmarks/spread.py --coverage 100."""

INSIDE = 0.9
"""Part of the intervals that hold the truth."""

SOURCES = ("image", "crystal", "orientation", "rest")
CASES = {
    "counting noise alone": KnownSpread(sigma=0.15),
    "crystal": KnownSpread(crystal=0.2, sigma=0.1),
    "image": KnownSpread(image=0.15, sigma=0.1),
    "orientation": KnownSpread(orientation=0.4, rest=0.1),
    "all at once": KnownSpread(crystal=0.2, image=0.1, orientation=0.3, rest=0.15),
    "Student's t": KnownSpread(rest=0.2, freedom=5),
}


def spread_of_these(truth: KnownSpread, table: SimulatedTable) -> float:
    """
    True s of the reflections of one table.

    What orientation adds to a reflection is the variance of its own function about its
    own mean over the directions at hand: not the sill, which is the mean of all functions
    that might have been drawn, while more crystals of a compound have the same ones.
    """
    variance = np.full(160, truth.crystal**2 + truth.image**2 + truth.rest**2)
    mean = np.ones(160)
    if table.fields is not None:
        directions = directions_in_cap(np.random.default_rng(5), 400, 34.0)
        unique = np.repeat(np.arange(160), 400)
        values = table.fields(np.tile(directions, (160, 1)), unique).reshape(160, 400)
        variance += truth.orientation**2 * values.var(axis=1)
        mean += truth.orientation * values.mean(axis=1)
    return float(np.sqrt(np.mean(variance / mean**2)))


def measure(truth: KnownSpread, seed: int, directions_of) -> dict:
    """Value, low and high of everything, by name, for one table."""
    rng = np.random.default_rng(seed)
    table = make_table(rng, truth, n_crystals=20, n_images=10, n_unique=160)
    residuals = residuals_of_arrays(*table[:5])
    groups = group_crystals(residuals.crystal, residuals.n_crystals, rng)
    weights = groups.draws(rng, 150)
    levels = mean_levels(residuals, groups, weights)
    group = groups.of_crystal[residuals.crystal]
    likelihoods = likelihood_table(deviations(residuals), group, groups.n, nproc=1)
    s = most_likely(weights @ likelihoods) / levels
    factors = fit_factors(residuals, rng)
    directions = directions_of(table)
    pairs = sum_pairs(
        residuals, directions, groups, rng, nproc=1, halves=factors.halves
    )
    draws = (groups, weights, levels)
    variogram = build_variogram(pairs, *draws, table[6], without_factors=True)
    found = variance_components(
        residuals, *draws, crystal_moments(factors, groups), variogram, 200
    )
    parts = {n: getattr(found, n) for n in SOURCES}
    return {
        "s": (s[0], *spread_interval(s, groups.n)),
        "true s": spread_of_these(truth, table),
        "range": variogram.range,
        # Of observations with the weight that each reflection has in all components.
        "noise": np.average(
            residuals.relative_sigma**2,
            weights=np.repeat(pair_weights(residuals), np.diff(residuals.start)),
        ),
        **{n: (p.variance, p.variance_low, p.variance_high) for n, p in parts.items()},
        "shares": {
            n: (p.share, p.share_low, p.share_high)
            for n, p in {**parts, "noise": found.noise}.items()
        },
    }


def count_inside(
    truth: KnownSpread, n_draws: int, directions_of, first_seed: int = 0
) -> SimpleNamespace:
    """How many intervals hold the truth, by name; the variances, and s, of all tables."""
    true = {n: getattr(truth, n) ** 2 for n in SOURCES}
    inside, values, sizes = Counter(), [], []
    for seed in range(first_seed, first_seed + n_draws):
        found = measure(truth, seed, directions_of)
        total = sum(true.values()) + found["noise"]
        for name, value in true.items():
            inside[name] += found[name][1] <= value <= found[name][2]
            low, high = found["shares"][name][1:]
            inside["share of " + name] += low <= value / total <= high + 1e-9
        low, high = found["shares"]["noise"][1:]
        inside["share of noise"] += low <= found["noise"] / total <= high + 1e-9
        inside["s"] += found["s"][1] <= found["true s"] <= found["s"][2]
        if truth.orientation:
            # Of a Gaussian exp(-3 (θ/range)²), half is left at:
            half = truth.range * np.sqrt(np.log(2) / 3)
            inside["range"] += found["range"][1] <= half <= found["range"][2]
        values.append([found[n][0] for n in true])
        sizes.append(found["s"][0])
        assert sum(s[0] for s in found["shares"].values()) == pytest.approx(1)
    return SimpleNamespace(inside=inside, variances=np.array(values), s=np.array(sizes))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_components_are_inside_their_intervals(case, directions_of):
    """Each part and each share."""
    truth = CASES[case]
    true = [getattr(truth, n) ** 2 for n in SOURCES]
    spread = np.sqrt(sum(true))
    found = count_inside(truth, N_DRAWS, directions_of)
    assert min(found.inside.values()) >= INSIDE * N_DRAWS, found.inside
    # The middle ones are not far off either: a wide interval holds anything.
    middle = np.median(found.variances, axis=0)
    np.testing.assert_allclose(middle, true, atol=0.1 * spread**2 + 0.003)
    # Squares, since the root of an estimated square is low in the mean.
    assert np.mean(found.s**2) == pytest.approx(spread**2, rel=0.025, abs=2e-4)
    # The sources neither overlap nor leave anything out; none is given below zero.
    sum_of_all = found.variances.sum(axis=1).mean()
    assert sum_of_all == pytest.approx(spread**2, rel=0.06, abs=0.004)
    if truth.orientation:
        assert stats.iqr(found.variances[:, 2]) < 0.5 * truth.orientation**2
