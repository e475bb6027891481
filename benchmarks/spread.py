"""
Print how long everything about the spread takes on a large set, and how often intervals
hold the truth.

    python benchmarks/spread.py [--observations 10000000] [--reflections 10000]
        [--crystals 200] [--images 200] [--coverage 0] [--first-seed 0]

Seconds by the clock, seconds of processors, peak memory of the process. ``--coverage 100`` counts,
for tables with known components, in how many of 100 each interval holds the truth
(seeds 0 to 99, as in the tests; others with ``--first-seed``).
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dials_spread.significance import MOST_DRAWS
from dials_spread.simulation.tables import directions_in_cap
from dials_spread.spread import analysis
from dials_spread.spread.chance.correlation import fit_correlation
from dials_spread.spread.chance.likelihood import pair_ratios
from dials_spread.spread.chance.pools import CommonSpots, build_pools
from dials_spread.spread.size.residuals import mean_levels, residuals_of_arrays
from dials_spread.spread.size.size import measure_size
from dials_spread.spread.variogram.directions import ObservationDirections
from dials_spread.statistics.bootstrap import group_crystals
from dials_spread.statistics.false_discovery import benjamini_hochberg
from dials_spread.threads import available_cores

STARTED = (time.perf_counter(), time.process_time())


def told(what, start):
    """Print the seconds since start and the peak memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    seconds, processor = (now - then for now, then in zip(clocks(), start))
    print(f"  {what:60s} {seconds:7.1f} s {processor:7.1f} s {peak:6.2f} GiB")
    return clocks()


def clocks():
    """The time that has passed, and that of all processors."""
    return time.perf_counter(), time.process_time()


def make(n, n_unique, n_crystals, n_images, rng):
    """Observations at random: unique, crystal, image, intensity, variance, beam."""
    image = np.sort(rng.integers(0, n_crystals * n_images, n)).astype(np.int32)
    unique = rng.integers(0, n_unique, n).astype(np.int32)
    crystal = (image // n_images).astype(np.int32)
    mu = (100 * rng.exponential(1, n_unique) + 30)[unique]
    r = 0.2 * rng.standard_normal(n_crystals)[crystal]
    r += 0.1 * rng.standard_normal(n_crystals * n_images)[image]
    r += 0.2 * rng.standard_normal(n)
    variance = 0.01 * 100 * mu
    intensity = mu * (1 + r) + np.sqrt(variance) * rng.standard_normal(n)
    beam = directions_in_cap(rng, n_crystals * n_images, 60.0)
    return unique, crystal, image, intensity, variance, beam


def analyse(table, n_unique, rng):
    """All parts, timed one after the other."""
    unique, crystal, image, intensity, variance, beam = table
    start = clocks()
    residuals = residuals_of_arrays(unique, crystal, image, intensity, variance)
    start = told("residuals", start)
    groups = group_crystals(residuals.crystal, residuals.n_crystals, rng)
    weights = groups.draws(rng)
    levels = mean_levels(residuals, groups, weights)
    d = np.linspace(6, 0.8, n_unique)
    size = measure_size(residuals, d, groups, weights, levels)
    start = told(f"size (s = {size.s:.3f}; put in 0.300)", start)
    # As map_directions would give them, without symmetry.
    directions = ObservationDirections.without_symmetry(beam[image], n_unique)
    analysis.map_directions = lambda observations: directions
    sample = analysis._Sample(None, residuals, groups, weights, levels, "", None)
    parts = analysis._by_source(sample, size.s, analysis.SpreadChoices(), rng)
    main = parts.variograms.main
    what = f"factors, variograms ({main.n_pairs / 1e6:.0f} of {main.n_all / 1e6:.0f}"
    start = told(what + " M pairs), components", start)
    found = parts.components
    for name in ("image", "crystal", "orientation", "rest"):
        p = getattr(found, name)
        print(
            f"    {name:12s} {p.variance:.4f} ({p.variance_low:.4f} to {p.variance_high:.4f})"
        )
    analysis.describe_normality(residuals, size.s, groups, weights, rng)
    return size.s, told("normality", start)


def test_pairs(table, s, rng, n_pairs=50_000, n_common=40):
    """As many matched pairs as are tested at most, of spots chosen at random."""
    unique, crystal, image, intensity, variance, _ = table
    start = clocks()
    n_rows = int(image.max()) + 1
    row_start = np.searchsorted(image, np.arange(n_rows + 1))
    pools = build_pools(image, crystal, unique, intensity, variance)
    images = rng.integers(0, n_rows, n_pairs)
    span = np.maximum(np.diff(row_start)[images], 1)
    on_a = row_start[images][:, None] + np.arange(n_common) % span[:, None]
    on_a = on_a.ravel()
    order = np.argsort(unique, kind="stable")
    first = pools.start[unique[on_a]]
    width = pools.start[unique[on_a] + 1] - first
    on_b = order[first + rng.integers(0, 2**62, len(on_a)) % width]
    spots = CommonSpots(
        np.arange(n_pairs + 1) * n_common,
        np.zeros(n_pairs, dtype=bool),
        unique[on_a].astype(np.int64),
        *(intensity[on_a], variance[on_a], intensity[on_b], variance[on_b]),
    )
    fitted = spots._replace(
        start=spots.start[:20_001], one_crystal=spots.one_crystal[:20_000]
    )
    rho = fit_correlation(fitted, pools, s)
    start = told(f"correlation of 20,000 pairs ({rho:.2f})", start)
    permutations = MOST_DRAWS // len(on_a)
    _, p = pair_ratios(spots, pools, s, rho, rng, permutations)
    benjamini_hochberg(p)
    told(f"{n_pairs:,} pairs tested, up to {permutations} permutations", start)


def coverage(n_draws, first_seed):
    """How often the intervals hold the truth."""
    path = Path(__file__).parents[1] / "tests" / "spread" / "test_truth.py"
    spec = importlib.util.spec_from_file_location("truth_tables", path)
    truth_tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(truth_tables)

    def directions_of(table):
        beam, n_unique = table[5][table[2]], int(table[0].max()) + 1
        return ObservationDirections.without_symmetry(beam, n_unique)

    for case, truth in truth_tables.CASES.items():
        draws = (n_draws, directions_of, first_seed)
        inside = truth_tables.count_inside(truth, *draws).inside
        print(f"  {case}: " + ", ".join(f"{k} {v}" for k, v in inside.items()))


def main():
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--observations", type=int, default=10_000_000)
    parser.add_argument("--reflections", type=int, default=10_000)
    parser.add_argument("--crystals", type=int, default=200)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--coverage", type=int, default=0)
    parser.add_argument("--first-seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(2026)
    small = SimpleNamespace(n=20_000, unique=200)
    print(f"{available_cores()} cores; compiling (once on a machine)")
    analyse(make(small.n, small.unique, 10, 20, rng), small.unique, rng)
    start = told("compiled", STARTED)
    sizes = (args.observations, args.reflections, args.crystals, args.images)
    print("{} observations of {} reflections, {} crystals of {} images".format(*sizes))
    table = make(*sizes, rng)
    whole = told("made", start)
    s, _ = analyse(table, args.reflections, rng)
    test_pairs(table, s, rng)
    told("everything", whole)
    if args.coverage:
        print(f"Intervals that hold the truth, of {args.coverage}:")
        coverage(args.coverage, args.first_seed)


if __name__ == "__main__":
    main()
