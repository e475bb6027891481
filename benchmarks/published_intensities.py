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
- reflections: Σ|r|/Σ√y of residuals r = √y - √I_dyn averaged over the crossings of a
  reflection (those with three and more), and what it would be if residuals of crossings were
  independent of each other; by sixths of resolution, low to high, the mean of r instead;
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
from dials_spread.rfactor import amplitudes, r_factor
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
    *("by resolution", "merged", "if independent", "mean, by resolution"),
)

FEWEST = 3
"""Crossings of a reflection from which their scatter is known."""


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


def common(data: Data, problem: StructureProblem, dynamical: np.ndarray) -> list[str]:
    """Residuals that are common to the crossings of a reflection."""
    table = problem.table
    every = np.ones(len(table), bool)
    f_o = amplitudes(table.intensity * problem.scales(dynamical, every))
    residual, n = f_o - np.sqrt(dynamical), problem.potential.n_unique
    mean = group_means(residual, table.unique, n)
    count = np.bincount(table.unique, minlength=n)
    square = group_means((residual - mean[table.unique]) ** 2, table.unique, n)
    often = np.flatnonzero(count >= FEWEST)
    size = group_means(f_o, table.unique, n)
    # Mean |x| of normal x with the variance of a mean of independent residuals.
    alone = np.sqrt(2 / np.pi * square[often] / (count[often] - 1)).sum()
    order = often[np.argsort(data.subject.prepared.measured.d_star_sq[often])]
    by_shell = [
        f"{mean[part].sum() / size[part].sum():+.2f}"
        for part in np.array_split(order, SHELLS)
    ]
    total = size[often].sum()
    return [
        f"{np.abs(mean[often]).sum() / total:.3f}", f"{alone / total:.3f}",
        ", ".join(by_shell),
    ]  # fmt: skip


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
        ", ".join(f"{x:.2f}" for x in shells), *common(data, problem, theirs),
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
