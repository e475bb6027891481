"""
What a simulated observation of the second correction takes, and what abTEM takes for it.

    python benchmarks/with_structure_speed.py [--data FOLDER] [--crossings 40]

Crossings of the Ewald sphere of the first scan of abiraterone acetate are simulated as
dials.ml_correct structure= does: at each angle of the rocking curve, with the beams that
matter most, and with all derivatives. abTEM gets the same structure factors, orientations
and beams, and one thickness; it solves each orientation anew and gives no derivatives. Times
are of one processor. Intensities of both must agree. A second table says where the time of
a whole correction of that scan goes.

abTEM is an optional extra: pip install dials_spread[abtem].
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

from cctbx import crystal, xray

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.input_files import read_files
from dials_spread.reindexing import Reindexing
from dials_spread.rfactor import r_factor
from dials_spread.scattering.abtem_bridge import (
    import_abtem,
    orientation_matrix,
    structure_factors_for,
)
from dials_spread.scattering.electrons import energy_of
from dials_spread.structures.structure_files import read_structure
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure import StructureInput, second_correction
from dials_spread.with_structure.data_potential import data_potential
from dials_spread.with_structure.hands import compare_hands
from dials_spread.with_structure.inversion import solve
from dials_spread.with_structure.local_beams import beams_of
from dials_spread.with_structure.local_simulation import (
    LocalSettings,
    _angles,
    local_crystal,
    simulate,
)
from dials_spread.with_structure.problem import set_up

SAME = Reindexing("h,k,l", np.eye(3), True)
THICKNESS = 800.0


def timed(action):
    """What an action gives, and its seconds of processor time."""
    start = time.process_time()
    found = action()
    return found, time.process_time() - start


def in_cell_of(structure: xray.structure, experiment) -> xray.structure:
    """The structure in the cell of a crystal."""
    symmetry = crystal.symmetry(
        experiment.crystal.get_unit_cell(), space_group=structure.space_group()
    )
    settings = crystal.special_position_settings(symmetry)
    return xray.structure(settings, scatterers=structure.scatterers())


def orientations(own, potential, row: int, settings: LocalSettings):
    """Beams of a crossing, and the directions of the beam during its rocking curve."""
    limits = np.array(own.scan.limits)
    angles = _angles(
        own.phi[row], own.rate[row], THICKNESS, limits, settings.window,
        settings.spacing, settings.fewest,
    )  # fmt: skip
    if not len(angles):
        return None, angles
    table, _, middle, candidates, lines = potential.arrays
    k = own.scan.wave_vectors(own.phi[row : row + 1])[0]
    rows = beams_of(
        own.miller_index[row].astype(np.int64), np.ascontiguousarray(own.setting[row]),
        k, candidates, lines, settings.s_max, settings.n_beams, table, middle,
    )  # fmt: skip
    return candidates[rows], own.scan.wave_vectors(angles)


def abtem_sums(structure, own, rows, beams_and_waves, factors, energy):
    """Sum of intensities over each rocking curve, and seconds: all, and of solving alone."""
    dynamical = import_abtem().bloch.dynamical
    from ase.cell import Cell

    found, whole, solving, n = [], 0.0, 0.0, 0
    for row, (beams, waves) in zip(rows, beams_and_waves):
        total = 0.0
        for k in waves:
            turned = orientation_matrix(own.setting[row], k, structure.unit_cell())
            start = time.process_time()
            cell = Cell(np.dot(factors.cell, turned.T))
            matrix = dynamical.calculate_structure_matrix(
                structure_factor=factors.array, hkl=factors.hkl, hkl_selected=beams,
                cell=cell, energy=energy, gpts=factors.gpts,
            )  # fmt: skip
            middle = time.process_time()
            wave = dynamical.calculate_dynamical_scattering(
                structure_matrix=matrix, hkl=beams, cell=cell, energy=energy,
                thicknesses=[THICKNESS],
            )  # fmt: skip
            end = time.process_time()
            whole, solving, n = whole + end - start, solving + end - middle, n + 1
            total += float(np.abs(wave[0, 1]) ** 2)
        found.append(total)
    return np.array(found), whole, solving, n


def against_abtem(data, n_crossings: int, settings: LocalSettings) -> None:
    """Print times of both for the same orientations and beams."""
    experiment, table = data.experiments[0], data.tables[0]
    structure = in_cell_of(read_structure("abiraterone"), experiment)
    subject = get_subject([experiment], [table], force=True)
    measured = subject.prepared.measured
    potential = data_potential(structure, measured, SAME)
    own = local_crystal(0, experiment, table, 1 / np.sqrt(measured.d_star_sq.max()))
    rng = np.random.default_rng(0)
    rows, curves = [], []
    for row in rng.permutation(len(own)):
        beams, waves = orientations(own, potential, row, settings)
        if beams is not None and len(beams):
            rows.append(int(row))
            curves.append((beams, waves))
        if len(rows) == n_crossings:
            break
    rows = np.array(rows)
    shape = Shape(THICKNESS)
    simulate(own, potential, shape, rows[:2], settings, True, 1)  # compiles
    (I, _), with_all = timed(
        lambda: simulate(own, potential, shape, rows, settings, True, 1)
    )
    _, alone = timed(lambda: simulate(own, potential, shape, rows, settings, False, 1))
    wavelength = experiment.beam.get_wavelength()
    energy = energy_of(wavelength)
    g_max = float(
        np.linalg.norm(potential.beams @ _reciprocal(structure), axis=1).max()
    )
    factors = structure_factors_for(structure, energy, g_max)
    sums, whole, solving, n = abtem_sums(structure, own, rows, curves, factors, energy)
    kinematic = [_kinematic(own, row, waves) for row, (_, waves) in zip(rows, curves)]
    theirs = sums / np.array(kinematic) * potential.F_squared
    known = np.isfinite(I)
    r1 = r_factor(np.sqrt(I[known]), np.sqrt(theirs[known]))
    mean = np.mean([len(beams) for beams, _ in curves])
    print(
        f"{len(rows)} crossings, {n} orientations, {mean:.0f} beams on average, "
        f"{THICKNESS:.0f} Å; R1 between both {r1[0]:.4f}, scale {r1[1]:.4f}\n"
    )
    told = [
        ("here, with all derivatives", with_all), ("here, intensities alone", alone),
        ("abTEM, Bloch waves", whole), ("abTEM, diagonalisation alone", solving),
    ]  # fmt: skip
    table_ = [[name, s, 1e6 * s / n, s / with_all] for name, s in told]
    print(tabulate(table_, ["", "s", "µs / orientation", "×"], floatfmt=".3g"))


def _reciprocal(structure: xray.structure) -> np.ndarray:
    return np.reshape(structure.unit_cell().fractionalization_matrix(), (3, 3))


def _kinematic(own, row: int, waves: np.ndarray) -> float:
    """Σ over angles of what single scattering makes of |U|² = 1 Å⁻⁴."""
    K = np.linalg.norm(own.scan.s0)
    g = own.setting[row] @ own.miller_index[row]
    s = -(waves @ g) / K - g @ g / (2 * K)
    return float(np.sum((np.pi * THICKNESS / K * np.sinc(s * THICKNESS)) ** 2))


def whole_correction(data) -> None:
    """Print where the time of a correction of one scan goes."""
    experiments, tables = [data.experiments[0]], [data.tables[0]]
    subject, reading = timed(lambda: get_subject(experiments, tables, force=True))
    first, model = timed(lambda: estimate(subject.counted, choose_model(), 1))
    structure = read_structure("abiraterone")
    given = StructureInput(
        subject, first, structure, SAME, experiments, tables, nproc=1
    )
    (problem, _, _), setting = timed(lambda: set_up(given))
    F = problem.prior.F
    (I, _), simulating = timed(lambda: problem.simulated(F))
    every = np.ones(len(I), bool)
    observations, _ = problem.linearised(F, every)
    _, solving = timed(lambda: solve(observations, problem.prior, every))
    _, hands = timed(lambda: compare_hands(problem))
    correct = second_correction.correct_with_structure
    _, whole = timed(lambda: correct(given, hand=False))
    rows = [
        ["data prepared", reading], ["first correction", model],
        ["potential and thickness", setting], ["one simulation, all derivatives", simulating],
        ["one least squares", solving], ["second correction, without hands", whole],
        ["hands", hands],
    ]  # fmt: skip
    print(f"\nOne scan of abiraterone acetate, {len(I)} crossings, one processor\n")
    print(tabulate(rows, ["", "s"], floatfmt=".2f"))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--crossings", type=int, default=40)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    path = args.data / "abiraterone" / "integrated"
    data = read_files([f"{path}.expt"], [f"{path}.refl"])
    against_abtem(data, args.crossings, LocalSettings())
    whole_correction(data)


if __name__ == "__main__":
    main()
