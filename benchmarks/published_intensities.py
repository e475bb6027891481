"""
Measured and simulated intensities beside those of a published dynamical refinement.

    python benchmarks/published_intensities.py [--data FOLDER] [--nproc N]
        [--sets abiraterone natrolite carbamazepine]

Three of the measured sets hold, for each row, the intensity that the published refinement
(Jana2006 and Dyngo, thickness, and orientation and scale of each frame refined) calculates
for it. With the published structure, R1 of amplitudes of crossings of the Ewald sphere, each
crystal on scales along its rotation:

- measured against published, and of those with I > 3σ; against our simulation, with the
  orientations of the data and tilted (with_structure.tilts);
- our simulation against the published one, likewise, and single scattering against it;
- reflections: measured amplitudes times √(Σ w I_obs I_dyn / Σ w I_dyn²), I_dyn the published
  ones, against kinematic |F|: what a correction reaches that knows everything the published
  refinement knew; all of them, and by sixths of resolution, low to high.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from tabulate import tabulate
from with_structure import Data, measured

from dials_spread.reindexing import Reindexing
from dials_spread.rfactor import r_factor
from dials_spread.statistics.groups import group_means
from dials_spread.with_structure import StructureInput
from dials_spread.with_structure.problem import StructureProblem, set_up
from dials_spread.with_structure.tilts import fit_tilts

SETS = ("abiraterone", "natrolite", "carbamazepine")
SAME = Reindexing("h,k,l", np.eye(3), True)
SHELLS = 6

COLUMNS = (
    *("set", "observed, published", "strong", "observed, here", "tilted"),
    *("here, published", "tilted", "single scattering", "tilts [°]", "undone"),
    "by resolution",
)


def published(data: Data, problem: StructureProblem) -> np.ndarray:
    """Calculated intensities of the crossings, with the Lorentz factor of the data."""
    scaled, table = data.subject.prepared.scaled, problem.table
    columns = [t["jana.intensity_dyn"].as_numpy_array() for t in data.tables]
    of_row = np.array([columns[c][r] for c, r in zip(scaled.crystal, scaled.row)])
    known = table.of_observation >= 0
    mean = group_means(of_row[known], table.of_observation[known], len(table))
    rate = np.zeros(len(table))
    for c, crystal in enumerate(problem.crystals):
        own = table.crystal == c
        rate[own] = crystal.rate[table.crossing[own]]
    return mean * rate


def undone(data: Data, problem: StructureProblem, dynamical: np.ndarray) -> np.ndarray:
    """Amplitudes from measured over published intensities, shape (u,)."""
    table = problem.table
    every = np.ones(len(table), bool)
    scale = problem.scales(dynamical, every)
    y, sigma = table.intensity * scale, table.sigma * scale
    w = 1 / (sigma**2 + (0.05 * y) ** 2 + (0.1 * dynamical) ** 2)
    n = problem.potential.n_unique
    above = np.bincount(table.unique, w * y * dynamical, n)
    below = np.bincount(table.unique, w * dynamical**2, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return data.F * np.sqrt(np.maximum(above / below, 0))


def line(data: Data) -> list:
    """One set."""
    given = StructureInput(
        data.subject, data.first, data.structure, SAME, data.experiments, data.tables,
        nproc=data.nproc,
    )  # fmt: skip
    problem, _, _ = set_up(given)
    better, tilts = fit_tilts(problem, np.random.default_rng(0))
    table, F = problem.table, problem.potential.calculated
    every = np.ones(len(table), bool)
    strong = table.intensity > 3 * table.sigma
    theirs = published(data, problem)
    ours = [one.simulated(F, gradient=False)[0] for one in (problem, better)]

    def observed(I: np.ndarray, rows: np.ndarray) -> str:
        return f"{problem.r1(I, problem.scales(I, every), rows):.3f}"

    own = replace(problem, table=replace(table, intensity=theirs))
    calculated = [*ours, F[table.unique] ** 2]
    against = [f"{own.r1(I, own.scales(I, every), every):.3f}" for I in calculated]
    estimate = undone(data, problem, theirs)
    known = np.isfinite(estimate)
    r1, k = r_factor(estimate[known], data.F[known])[:2]
    order = np.flatnonzero(known)[
        np.argsort(data.subject.prepared.measured.d_star_sq[known])
    ]
    shells = [
        np.abs(k * estimate[part] - data.F[part]).sum() / data.F[part].sum()
        for part in np.array_split(order, SHELLS)
    ]
    return [
        data.name, observed(theirs, every), observed(theirs, strong),
        *(observed(I, every) for I in ours), *against, f"{tilts.rms:.2f}", f"{r1:.3f}",
        ", ".join(f"{x:.2f}" for x in shells),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--nproc", type=int, default=None)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = []
    for name in args.sets:
        rows.append(line(measured(name, args.data, args.nproc)))
        print(*rows[-1], sep=" | ", flush=True)
    print(tabulate(rows, COLUMNS, disable_numparse=True))


if __name__ == "__main__":
    main()
