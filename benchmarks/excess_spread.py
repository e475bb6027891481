"""
Print how well s and the intervals of medians over pairs meet a truth that is known, by
the estimators of the package and by those that it had before.

    python benchmarks/excess_spread.py [--tables 10] [--coverage 200] [--first-seed 0]

- *s of two images* with few others or low counts: s of all pairs together, from the
  likelihood that corrects for the uncertainty of the mean, and as if the mean were known.
- *Ten tables* of images at random (seeds 0 to 9): s of the whole table, the medians over
  pairs of s within pairs, of s to all others and of their ratio, by both.
- *Intervals* of medians over pairs: in how many of so many tables they hold the truth, and
  how wide they are (logarithm of the ratio of the ends); beside percentiles of crystals
  drawn with replacement.
"""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import numpy as np

from cctbx import sgtbx

from dials_spread.incidence import Incidence
from dials_spread.pairs.agreement import compare_pairs
from dials_spread.pairs.shared import shared_reflections
from dials_spread.pairs.summary import median_over_pairs
from dials_spread.simulation.tables import KnownSpread, SimulatedTable, make_table
from dials_spread.spread.size.residuals import residuals_of_arrays
from dials_spread.spread.size.size import deviations
from dials_spread.statistics.excess_spread import (
    Deviations,
    excess_spreads,
    of_level,
    well_known,
)
from dials_spread.statistics.groups import group_medians, group_numbers
from dials_spread.symmetry import laue_operators


def former_spreads(square, known, unknown, cell, n_cells):
    """s of each cell as though μ² were known: no correction, and nothing left out."""
    nothing = np.zeros(len(square))
    data = Deviations(square, known, unknown, nothing, nothing + 1e12)
    return excess_spreads(data, cell, n_cells)


def two_images(rng, s, counts, n_others, n=40_000):
    """s of one large pair, now and before; I of normal noise with the variance μ + 5."""
    mu = (rng.exponential(counts, n) + 0.2 * counts)[:, None]
    variance = np.broadcast_to(mu + 5.0, (n, n_others + 2))
    scatter = np.hypot(s * mu, np.sqrt(variance))
    intensity = mu + scatter * rng.standard_normal(variance.shape)
    level, noise = intensity.mean(axis=1), variance.mean(axis=1)
    square = (intensity[:, 0] - intensity[:, 1]) ** 2
    known = variance[:, :2].sum(axis=1)
    number, one = np.full(n, n_others + 2), np.zeros(n, dtype=int)
    data = of_level(square, known, 2, level, noise, number)
    keep = well_known(level, noise, number)
    former = former_spreads(square, known, 2 * np.maximum(level, 0) ** 2, one, 1)
    return excess_spreads(data, one, 1, keep)[0], former[0]


def lay_out(table: SimulatedTable) -> Incidence:
    """The images of a table; every reflection is unique."""
    order = np.lexsort((table.unique, table.image))
    column = table.unique[order].astype(np.int32)
    n = int(column.max()) + 1
    hkl = np.stack([np.arange(1, n + 1), np.ones(n), np.ones(n)], axis=1).astype(int)
    n_images = len(table.beam)
    return Incidence(
        indptr=np.searchsorted(table.image[order], np.arange(n_images + 1)),
        column=column,
        intensity=table.intensity[order],
        variance=table.variance[order],
        unique=column,
        miller_index=hkl,
        permutation=np.arange(n, dtype=np.int32)[None],
        reciprocal=hkl.astype(float),
        operators=laue_operators(sgtbx.space_group(), np.eye(3), False),
    )


class Pairs(SimpleNamespace):
    """Pairs of images, as matches give them."""

    def __len__(self):
        return len(self.image_a)


def pairs_of_table(rng, truth, n_pairs=200):
    """s of a table, and medians over pairs of it, now and before."""
    table = make_table(rng, truth, 8, 8, n_unique=60, per_image=24)
    incidence = lay_out(table)
    residuals = residuals_of_arrays(*table[:5])
    everything = np.zeros(len(residuals), dtype=int)
    whole = excess_spreads(deviations(residuals), everything, 1)[0]
    a, b = rng.integers(0, len(table.beam), (2, n_pairs))
    differ = a // 8 != b // 8
    a, b = a[differ], b[differ]
    rows = [set(incidence.column[incidence.row(i)]) for i in range(len(table.beam))]
    n_common = np.array([len(rows[i] & rows[j]) for i, j in zip(a, b)])
    matches = Pairs(
        image_a=a, image_b=b, operator=np.zeros(len(a), int), n_common=n_common
    )
    found = compare_pairs(SimpleNamespace(scaled=True), incidence, matches)
    now = found.excess_spread, found.background_spread

    shared = shared_reflections(incidence, a, b, matches.operator, n_common)
    pair, n = group_numbers(shared.start), len(a)
    one, two = (incidence.intensity[k] for k in (shared.on_a, shared.on_b))
    var_one, var_two = (incidence.variance[k] for k in (shared.on_a, shared.on_b))
    mean = np.maximum((shared.total + one + two) / (shared.number + 2), 0)
    within = former_spreads((one - two) ** 2, var_one + var_two, 2 * mean**2, pair, n)
    other = shared.total / shared.number
    unknown = np.maximum(other, 0) ** 2 * (1 + 1 / shared.number)
    square = np.concatenate([(one - other) ** 2, (two - other) ** 2])
    known, twice = np.concatenate([var_one, var_two]), np.tile(pair, 2)
    before = within, former_spreads(square, known, np.tile(unknown, 2), twice, n)
    return [whole, *medians(*now), *medians(*before)]


def medians(within, others):
    """Of s within pairs, to all others, and of the ratio where both are known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = within / others
    return [np.nanmedian(x[np.isfinite(x)]) for x in (within, others, ratio)]


def former_interval(x, a, b, rng):
    """Percentiles of 500 samples of crystals, drawn with replacement."""
    crystals, number = np.unique(np.stack([a, b]), return_inverse=True)
    a, b = number.reshape(2, -1)
    n = len(crystals)
    found = []
    for drawn in rng.multinomial(n, np.full(n, 1 / n), size=500):
        weights = np.where(a == b, drawn[a], drawn[a] * drawn[b]).astype(float)
        found.append(group_medians(x, np.zeros(len(x), int), 1, weights)[0])
    return np.nanpercentile(found, (2.5, 97.5))


CASES = {
    "crystals differ": (0.3, 0.0, 0.1),
    "pairs of crystals differ": (0.0, 0.3, 0.1),
    "single pairs differ": (0.0, 0.0, 0.4),
    "everything differs": (0.2, 0.2, 0.3),
}


def pairs_with_median_one(rng, n_crystals, of_crystal, of_crystals, of_pair):
    """A statistic; its logarithm is the sum of what two crystals and a pair add."""
    a, b = np.triu_indices(n_crystals, 1)
    cell = np.repeat(np.arange(len(a)), 1 + rng.poisson(5 * rng.exponential(1, len(a))))
    own = of_crystal * rng.standard_normal(n_crystals)
    log_x = own[a] + own[b] + of_crystals * rng.standard_normal(len(a))
    noise = of_pair * rng.standard_normal(len(cell))
    return np.exp(log_x[cell] + noise), a[cell], b[cell]


def count_inside(n_crystals, case, n_tables, first_seed):
    """Part of the intervals that hold 1, and their median width, now and before."""
    inside, width = np.zeros(2), []
    for seed in range(first_seed, first_seed + n_tables):
        rng = np.random.default_rng(seed)
        x, a, b = pairs_with_median_one(rng, n_crystals, *CASES[case])
        now = median_over_pairs(x, a, b, rng)
        ends = np.array([(now.low, now.high), former_interval(x, a, b, rng)])
        inside += (ends[:, 0] <= 1) & (ends[:, 1] >= 1)
        width.append(np.log(ends[:, 1] / ends[:, 0]))
    return inside / n_tables, np.median(width, axis=0)


def run():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tables", type=int, default=10)
    parser.add_argument("--coverage", type=int, default=0)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()

    print("s of two images, all reflections together: now, and as though μ² were known")
    for counts in (3, 10, 50, 500):
        for n_others in (0, 2, 6):
            row = [f"  mean counts {counts:3d}, {n_others} others"]
            for s in (0.0, 0.1, 0.3):
                found = two_images(np.random.default_rng(1), s, counts, n_others)
                row.append(f"s = {s}: {found[0]:.3f} {found[1]:.3f}")
            print("   ".join(row))

    for name, sigma in (("strong", 0.05), ("weak", 0.4)):
        print(f"Tables with s = 0.2, {name}: s of all; within pairs, to others, ratio")
        found = []
        for seed in range(options.first_seed, options.first_seed + options.tables):
            rng = np.random.default_rng(seed)
            found.append(pairs_of_table(rng, KnownSpread(rest=0.2, sigma=sigma)))
            told = " ".join(f"{x:.3f}" for x in found[-1][:4])
            before = " ".join(f"{x:.3f}" for x in found[-1][4:])
            print(f"  seed {seed}: {told}   before: {before}")
        if found:
            mean = " ".join(f"{x:.3f}" for x in np.mean(found, axis=0))
            print(f"  mean of {len(found)}: {mean}")

    if options.coverage:
        print("Intervals of medians that hold the truth (width): now, before")
        for n_crystals in (3, 4, 6, 12, 30):
            for case in CASES:
                inside, width = count_inside(
                    n_crystals, case, options.coverage, options.first_seed
                )
                told = ", ".join(f"{i:.3f} ({w:.2f})" for i, w in zip(inside, width))
                print(f"  {n_crystals:2d} crystals, {case:25s} {told}", flush=True)


if __name__ == "__main__":
    run()
