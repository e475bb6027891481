"""
The hand of a structure, where it is known and where there is none to be found.

    python benchmarks/with_structure_hands.py [--data FOLDER] [--nproc N] [--seeds 10]
        [--sets quartz natrolite abiraterone] [--only measured simulated]

z of the structure against its mirror image (dials_spread.with_structure.hands), three ways:

- as fitted: orientations (tilts) and scales from the observations that are compared;
- held out: of each observation from others, in five parts, as the program has it;
- thickness too: also thicknesses, from the other half of the observations.

Simulated are random compounds in P 21 21 21, three crystals each: dynamical ones (the structure
is of the right hand: z should be large), kinematic ones, and twins by inversion of equal
parts, intensities of both hands averaged (neither hand is right: z should be that of chance,
with a mean of 0 and a standard deviation of 1). Seconds a set, minutes for abiraterone.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tabulate import tabulate
from with_structure import measured

from dials.array_family import flex

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.rfactor import amplitudes
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure
from dials_spread.with_structure import StructureInput, lay_on_data
from dials_spread.with_structure.cross_validation import z_over_reflections
from dials_spread.with_structure.crystal_shapes import fit_shapes
from dials_spread.with_structure.hands import held_out_residuals
from dials_spread.with_structure.problem import StructureProblem, set_up
from dials_spread.with_structure.tilts import fit_tilts

CELL = (5.9, 7.1, 9.3, 90.0, 90.0, 90.0)

VALUES = ("intensity.sum.value", "intensity.prf.value")


def simulated(seeds: int, nproc: int | None) -> Iterator[tuple[str, StructureInput]]:
    """Random compounds: dynamical, kinematic, and both hands in equal parts."""
    for kind in ("dynamical", "kinematic", "twin"):
        for seed in range(seeds):
            rng = np.random.default_rng([21, seed])
            structure = random_structure(rng, CELL, "P 21 21 21")
            hands = [structure, structure.inverse_hand()][: 1 + (kind == "twin")]
            made = [
                simulate_experiments(
                    one, np.random.default_rng([22, seed]), n_crystals=3, d_min=1.0,
                    scan_width=50.0, noise=NoiseModel(mean_counts=2000.0),
                    wave="kinematic" if kind == "kinematic" else "dynamical",
                    thickness=ThicknessModel(450.0, spread=0.2, within=0.2),
                )
                for one in hands
            ]  # fmt: skip
            experiments, table = made[0]
            if kind == "twin":
                table = averaged(table, made[1][1])
            tables = [table.select(table["id"] == k) for k in range(len(experiments))]
            subject = get_subject(experiments, tables, force=True, nproc=nproc)
            yield kind, given(subject, structure, experiments, tables, nproc)


def averaged(a: flex.reflection_table, b: flex.reflection_table):
    """Intensities of both hands of the same crystals, in the order of the first."""
    assert len(a) == len(b) and list(a["miller_index"]) == list(b["miller_index"])
    for name in filter(a.__contains__, VALUES):
        a[name] = (a[name] + b[name]) / 2
        variance = name.replace("value", "variance")
        a[variance] = (a[variance] + b[variance]) / 4
    return a


def given(subject, structure, experiments, tables, nproc) -> StructureInput:
    """What a second correction starts from."""
    first = estimate(subject.counted, choose_model(), nproc)
    laid = lay_on_data(structure, "structure", subject, np.random.default_rng(0))
    return StructureInput(
        subject, first, laid.structure, laid.choice, list(experiments), tables, nproc=nproc
    )  # fmt: skip


def shaped(problem: StructureProblem, potential, use: np.ndarray) -> StructureProblem:
    """With thicknesses from some of the observations."""
    table = problem.table
    columns = ("crystal", "crossing", "unique", "intensity", "sigma")
    some = replace(table, **{name: getattr(table, name)[use] for name in columns})
    rng = np.random.default_rng(0)
    told = fit_shapes(
        problem.crystals, some, potential, problem.settings, rng, problem.nproc
    )
    return replace(problem, potential=potential, shapes=[t.shape for t in told])


def z_of(problem: StructureProblem, own: np.ndarray, other: np.ndarray) -> float:
    """Of residuals of both hands."""
    unique = problem.table.unique
    better = (other - own) / problem.prior.expected[unique]
    known = np.isfinite(better)
    return z_over_reflections(better[known], unique[known])


def as_fitted(upright: StructureProblem) -> np.ndarray:
    """Residuals with tilts and scales from the same observations."""
    one, _ = fit_tilts(upright, np.random.default_rng([0, 3]))
    every = np.ones(len(one.table), bool)
    I, _ = one.simulated(one.prior.F, gradient=False)
    f_o = amplitudes(one.table.intensity * one.scales(I, every))
    return np.abs(f_o - np.sqrt(np.maximum(I, 0)))


def held_out(upright: StructureProblem) -> np.ndarray:
    """Residuals with those of other observations."""
    _, tilts = fit_tilts(upright, np.random.default_rng([0, 3]))
    return held_out_residuals(upright, tilts, np.ones(len(upright.table), bool))[0]


def three_ways(one: StructureInput) -> list[float]:
    """z as fitted, held out, and with thicknesses from the other half."""
    problem, _, _ = set_up(one)
    potentials = problem.potential, problem.potential.other_hand()
    every = np.ones(len(problem.table), bool)
    both = [shaped(problem, potential, every) for potential in potentials]
    found = [z_of(problem, *map(way, both)) for way in (as_fitted, held_out)]
    half = np.random.default_rng(5).integers(0, 2, len(every))
    apart = np.full((2, len(every)), np.nan)
    for k in (0, 1):
        for own, potential in zip(apart, potentials):
            there = shaped(problem, potential, half != k)
            own[half == k] = held_out(there)[half == k]
    return [*found, z_of(problem, *apart)]


def main() -> None:
    """Print the table, and means of the simulated sets."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--nproc", type=int, default=None)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--sets", nargs="*", default=["quartz", "natrolite", "abiraterone"]
    )
    parser.add_argument("--only", nargs="*", default=["simulated", "measured"])
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    found: dict[str, list[list[float]]] = {}
    if "simulated" in args.only:
        for kind, one in simulated(args.seeds, args.nproc):
            found.setdefault(kind, []).append(three_ways(one))
            print(kind, *(f"{z:.2f}" for z in found[kind][-1]), flush=True)
    if "measured" in args.only:
        for name in args.sets:
            data = measured(name, args.data, args.nproc)
            parts = (data.subject, data.structure, data.experiments, data.tables)
            found[name] = [three_ways(given(*parts, args.nproc))]
            print(name, *(f"{z:.2f}" for z in found[name][0]), flush=True)
    rows = []
    for name, some in found.items():
        for way, z in zip(
            ("as fitted", "held out", "thickness too"), np.transpose(some)
        ):
            low, high, spread = z.min(), z.max(), z.std(ddof=1) if len(z) > 1 else None
            rows.append([name, way, len(z), z.mean(), spread, low, high])
    header = ["data", "", "sets", "z, mean", "standard deviation", "lowest", "highest"]
    print(tabulate(rows, header, floatfmt=".2f"))


if __name__ == "__main__":
    main()
