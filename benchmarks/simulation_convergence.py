"""
How far the defaults of the dynamical simulation are from their limit.

Usage::

    python benchmarks/simulation_convergence.py [paracetamol] [large] [--crystals 6]

Crystals of a compound are simulated with the defaults, with twice the beams (in excitation
error, and in resolution), half the angular step, other windows of integration and more
layers. Of each the merged R1 against |F|, relative to the defaults, and the R1 between the
merged amplitudes of both are printed, as the table of docs/studies/simulation_convergence.rst.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cctbx import miller  # noqa: E402
from dials.array_family import flex  # noqa: E402

from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.dynamical import (
    DEFAULT_G_FACTOR,
    ThicknessModel,
    crystal_intensities,
    potential_for,
    rotation_scan_of,
)
from dials_spread.simulation.crystals import miller_indices
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.structures.structure_files import read_structure


@dataclass(frozen=True)
class Case:
    """A compound, its crystals, and how many to simulate."""

    structure: str
    d_min: float
    thickness: ThicknessModel
    scan_width: float
    crystals: int


CASES = {
    "paracetamol": Case("paracetamol", 0.9, ThicknessModel(400.0), 40.0, 6),
    "large": Case("abiraterone", 1.0, ThicknessModel(800.0), 40.0, 2),
}


@dataclass(frozen=True)
class Crystals:
    """Scans and reflections, and the unique reflection of each observation."""

    scans: list
    hkl: list
    phi: list
    kinematic: np.ndarray
    unique: np.ndarray


def make_crystals(case: Case, structure, n: int) -> Crystals:
    """Orientations and reflections, without noise."""
    experiments, table = simulate_experiments(
        structure,
        np.random.default_rng(1),
        n_crystals=n,
        d_min=case.d_min,
        scan_width=case.scan_width,
    )
    hkl, crystal = miller_indices(table), table["id"].as_numpy_array()
    phi = table["xyzcal.mm"].parts()[2].as_numpy_array()
    symmetric = miller.set(
        structure.crystal_symmetry(),
        flex.miller_index([tuple(h) for h in hkl.tolist()]),
        anomalous_flag=False,
    ).map_to_asu()
    unique = np.unique(
        np.array(list(symmetric.indices())), axis=0, return_inverse=True
    )[1]
    order = np.argsort(crystal, kind="stable")
    return Crystals(
        scans=[rotation_scan_of(e) for e in experiments],
        hkl=[hkl[crystal == i] for i in range(n)],
        phi=[phi[crystal == i] for i in range(n)],
        kinematic=table["intensity.kinematic.value"].as_numpy_array()[order],
        unique=np.ravel(unique)[order],
    )


def simulate(case, structure, crystals, selection, g_factor=1.0, n_within=None):
    """Intensities of all observations, and seconds of processor time for a crystal."""
    model = replace(case.thickness, n_within=n_within or case.thickness.n_within)
    means = model.draw(np.random.default_rng(2), len(crystals.scans))
    selection = replace(selection, g_max=DEFAULT_G_FACTOR * g_factor / case.d_min)
    wavelength = 1.0 / np.linalg.norm(crystals.scans[0].s0)
    potential = potential_for(structure, wavelength, case.d_min, selection)
    start = time.process_time()
    intensities = [
        crystal_intensities(
            potential, scan, hkl, phi, model.distribution(mean)[None], selection,
            nproc=None,
        )[:, 0]
        for scan, hkl, phi, mean in zip(
            crystals.scans, crystals.hkl, crystals.phi, means
        )
    ]  # fmt: skip
    seconds = (time.process_time() - start) / len(means)
    return np.concatenate(intensities), seconds


def merged(intensities, unique):
    """Amplitudes of unique reflections from the means of their intensities."""
    return np.sqrt(np.bincount(unique, intensities) / np.bincount(unique))


def r1(F_o, F_c):
    """R1 with the scale that minimises it."""
    k = np.sum(F_o * F_c) / np.sum(F_o**2)

    def score(scale):
        return np.sum(np.abs(scale * F_o - F_c)) / np.sum(F_c)

    return minimize_scalar(score, bracket=(0.98 * k, 1.02 * k)).fun


def settings():
    """What is varied: a label, and the arguments of `simulate`."""
    own = BeamSelection()
    wide = replace(own, s_max=2 * own.s_max)
    yield "defaults", own, {}
    yield "2 × the beams: s_max × 2", wide, {}
    yield "1.7 × the beams: g_max × 1.2", own, {"g_factor": 1.2}
    yield "3.4 × the beams: both", wide, {"g_factor": 1.2}
    yield "angular step / 2", replace(own, step_factor=own.step_factor / 2), {}
    yield "s_max × 2, step / 2", replace(wide, step_factor=own.step_factor / 2), {}
    yield "double precision", replace(own, precision="double"), {}
    yield "9 layers, not 5", own, {"n_within": 9}
    for window in (0.006, 0.008, 0.012):
        yield f"s_window {window}", replace(own, s_window=window), {}


def study(name: str, n_crystals: int | None) -> None:
    """Print the table of one case."""
    case = CASES[name]
    structure = read_structure(case.structure)
    n = n_crystals or case.crystals
    crystals = make_crystals(case, structure, n)
    F_c = merged(crystals.kinematic, crystals.unique)
    print(
        f"\n{case.structure}: {n} crystals of median {case.thickness.median:.0f} Å, "
        f"{case.scan_width:.0f}°, d_min {case.d_min} Å, cell "
        f"{structure.unit_cell().volume():.0f} Å³; {len(crystals.unique)} observations "
        f"of {len(F_c)} unique reflections\n"
    )
    rows, default = [], None
    for label, selection, options in settings():
        found, seconds = simulate(case, structure, crystals, selection, **options)
        F_o = merged(found, crystals.unique)
        score = r1(F_o, F_c)
        default = (F_o, score, found) if default is None else default
        each = np.sum(np.abs(np.sqrt(found) - np.sqrt(default[2])))
        rows.append(
            [
                label, f"{score:.4f}", f"{100 * (score / default[1] - 1):+.2f} %",
                f"{100 * r1(F_o, default[0]):.2f} %",
                f"{100 * each / np.sum(np.sqrt(default[2])):.2f} %", f"{seconds:.2f}",
            ]
        )  # fmt: skip
        print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    headers = [
        "setting", "merged R1", "its change", "merged \\|F\\|", "each \\|F\\|",
        "s/crystal",
    ]  # fmt: skip
    print(tabulate(rows, headers, tablefmt="rst", disable_numparse=True))


def main() -> None:
    """Print the tables of the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), help=", ".join(CASES))
    parser.add_argument("--crystals", type=int)
    args = parser.parse_args()
    for name in args.cases:
        study(name, args.crystals)


if __name__ == "__main__":
    main()
