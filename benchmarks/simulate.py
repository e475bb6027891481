"""
Time the dynamical simulation, and show what its cost depends on.

Usage::

    python benchmarks/simulate.py [--orientations 32] [--crystals 8] [--nproc 2]

Three parts, each printing its figures; nothing is asserted about time:

1. An orientation of paracetamol form II, the same beams and one thickness: Chebyshev's
   method as the simulation uses it, diagonalisation, and abTEM's Bloch waves where that is
   installed (an environment of its own: docs/studies/simulation_convergence.rst). One thread each.
2. A whole data set: 200 crystals of paracetamol form II, 40° in images of 1°, d_min 0.9 Å,
   with the defaults.
3. Cost against the volume of the cell and resolution: random structures, with and without
   a centre of symmetry.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dials_spread.scattering import abtem_bridge
from dials_spread.scattering.beams import BeamSelection, rotation_step
from dials_spread.scattering.bloch import bloch_amplitudes
from dials_spread.scattering.chebyshev import beam_intensities
from dials_spread.scattering.dynamical import (
    ThicknessModel,
    crystal_intensities,
    potential_for,
)
from dials_spread.scattering.electrons import energy_of
from dials_spread.scattering.potential import differences
from dials_spread.scattering.rocking import beams_taking_part
from dials_spread.scattering.scans import BLOCK, RotationScan
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.structures import random_structure
from dials_spread.structures.structure_files import read_structure

WAVELENGTH = 0.0250793
K = 1.0 / WAVELENGTH
THICKNESS = 500.0
D_MIN = 0.9


def scan_of(structure, width: float, seed: int = 4) -> RotationScan:
    """A scan [degrees] of a crystal in a random orientation."""
    basis = np.array(structure.unit_cell().fractionalization_matrix()).reshape(3, 3).T
    return RotationScan(
        A=Rotation.random(random_state=seed).as_matrix() @ basis,
        s0=np.array([0.0, 0.0, -K]),
        axis=np.array([0.0, 1.0, 0.0]),
        limits=(0.0, np.deg2rad(width)),
    )


def best(function, repeats: int = 3) -> float:
    """The least processor time of some runs [s]."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def one_block(potential, scan, angles, selection):
    """What both solutions of a block of orientations need."""
    used, s, active = beams_taking_part(potential.beams, scan, angles, selection)
    beams = potential.beams[used]
    origin = int(np.flatnonzero(~np.any(beams, axis=1))[0])
    return differences(potential.table, beams), s, active, beams, origin


def by_chebyshev(potential, scan, blocks, selection):
    """Intensities of all beams in all orientations, block by block."""
    results = []
    for angles in blocks:
        U, s, active, beams, origin = one_block(potential, scan, angles, selection)
        intensities = beam_intensities(
            U, s, K, np.array([THICKNESS]), active, np.arange(len(beams)),
            origin=origin, precision=selection.precision,
        )  # fmt: skip
        results.append((beams, active, intensities[0]))
    return results


def by_diagonalisation(potential, scan, angles, selection):
    """The same, one orientation after the other."""
    for angle in angles:
        U, s, _, _, origin = one_block(potential, scan, np.array([angle]), selection)
        bloch_amplitudes(U, s[:, 0], K, np.array([THICKNESS]), origin=origin)


def by_abtem(waves_of, angles):
    """The same by abTEM, from structure factors that it has already."""
    for angle in angles:
        waves = waves_of(angle)
        waves.calculate_diffraction_patterns([THICKNESS], lazy=False)


def abtem_waves(structure, scan, g_max, selection, precision, own=False):
    """
    A function from an angle to abTEM's BlochWaves.

    Its StructureFactor, as its tutorial has it, is summed anew for each orientation: own
    is that. Without, structure factors are put in ready-made, which is kind to it.
    """
    abtem = abtem_bridge.import_abtem()
    energy = energy_of(WAVELENGTH)
    factors = abtem_bridge.structure_factors_for(structure, energy, g_max)
    abtem.config.set({"precision": precision})
    if own:
        atoms, sigma, occupancy = abtem_bridge.atoms_of(structure)
        factors = abtem.bloch.StructureFactor(
            atoms, g_max=2 * g_max, thermal_sigma=sigma, occupancy=occupancy,
            centering="P",
        )  # fmt: skip

    def waves_of(angle):
        k = scan.wave_vectors(np.array([angle]))[0]
        turn = abtem_bridge.orientation_matrix(scan.A, k, structure.unit_cell())
        return abtem.bloch.BlochWaves(
            factors, energy=energy_of(WAVELENGTH), sg_max=selection.s_max, g_max=g_max,
            orientation_matrix=turn, centering="P",
        )  # fmt: skip

    return waves_of


def compare_orientations(n: int) -> None:
    """Part 1."""
    structure = read_structure("paracetamol")
    selection = BeamSelection()
    g_max = 1.2 / D_MIN
    potential = potential_for(structure, WAVELENGTH, D_MIN, selection)
    scan = scan_of(structure, 40.0)
    step = rotation_step(D_MIN, THICKNESS)
    blocks = np.array_split(0.1 + step * np.arange(n), n // BLOCK)
    with threadpool_limits(1):
        seconds = {}
        for precision in ("single", "double"):
            chosen = replace(selection, precision=precision)
            kind = np.float32 if precision == "single" else np.float64
            table = replace(potential, table=potential.table.astype(kind))
            seconds[f"Chebyshev, {precision} precision"] = (
                best(lambda c=chosen, p=table: by_chebyshev(p, scan, blocks, c), 9) / n
            )
        few = blocks[0][:8]
        seconds["diagonalisation"] = (
            best(lambda: by_diagonalisation(potential, scan, few, selection)) / 8
        )
        active = [a for _, a, _ in by_chebyshev(potential, scan, blocks, selection)]
        n_beams = np.mean(np.concatenate([np.sum(a, axis=0) for a in active]))
        print(f"1. Paracetamol II, {n_beams:.0f} beams, {THICKNESS:.0f} Å, one thread")
        if importlib.util.find_spec("abtem"):
            for precision in ("float32", "float64"):  # the last one is checked
                waves_of = abtem_waves(structure, scan, g_max, selection, precision)
                seconds[f"abTEM, {precision}"] = (
                    best(lambda w=waves_of: by_abtem(w, few[:4])) / 4
                )
            usual = abtem_waves(structure, scan, g_max, selection, "float32", True)
            seconds["abTEM from atoms, float32"] = best(
                lambda: by_abtem(usual, few[:1]), 1
            )
            check_against_abtem(waves_of, potential, scan, blocks, selection)
        else:
            print("   abTEM is not installed: no comparison")
    least = seconds["Chebyshev, single precision"]
    for label, value in seconds.items():
        print(f"   {label:28s} {1e3 * value:9.2f} ms  {value / least:7.1f} ×")


def check_against_abtem(waves_of, potential, scan, blocks, selection):
    """Both have solved the same problem."""
    beams, active, intensities = by_chebyshev(potential, scan, blocks, selection)[0]
    waves = waves_of(blocks[0][0])
    pattern = waves.calculate_diffraction_patterns([THICKNESS], lazy=False)
    theirs = dict(zip(map(tuple, waves.hkl.tolist()), np.asarray(pattern.array)[0]))
    on = active[:, 0]
    ours = np.sqrt(intensities[on, 0])
    other = np.sqrt([theirs[tuple(hkl)] for hkl in beams[on].tolist()])
    print(
        f"   beams here {len(ours)}, in abTEM {len(other)}; R1 between both "
        f"{np.sum(np.abs(ours - other)) / np.sum(other):.5f}"
    )


def whole_set(n: int, nproc: int) -> None:
    """Part 2."""
    start = time.perf_counter()
    _, reflections = simulate_experiments(
        read_structure("paracetamol"), np.random.default_rng(1), n_crystals=n,
        d_min=D_MIN, wave="dynamical", resources=Resources(nproc=nproc),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    print(
        f"2. {n} crystals of paracetamol II, {len(reflections)} reflections, {nproc} "
        f"processes: {seconds:.1f} s, {seconds / n:.2f} s a crystal"
    )


def cost_of(space_group: str, edge: float, d_min: float) -> None:
    """Print one row of part 3."""
    cell = (0.8 * edge, edge, 1.25 * edge, 90, 90, 90)
    structure = random_structure(np.random.default_rng(3), cell, space_group)
    start = time.process_time()
    potential = potential_for(structure, WAVELENGTH, d_min)
    table = time.process_time() - start
    scan = scan_of(structure, 5.0, seed=7)
    inside = np.linalg.norm(potential.beams @ scan.A.T, axis=1) < 1.0 / d_min
    hkl = potential.beams[inside]
    layers = ThicknessModel().distribution(400.0)
    seconds = best(
        lambda: crystal_intensities(
            potential, scan, hkl, np.zeros(len(hkl)), layers[None]
        ),
        2,
    )
    n = 6.0 / np.rad2deg(rotation_step(d_min, layers.max()))
    s = scan.excitation_errors(potential.beams, np.linspace(*scan.limits, 20))
    n_beams = np.mean(np.sum(BeamSelection().taking_part(s), axis=0))
    print(
        f"   {space_group:12s} {structure.unit_cell().volume():6.0f} {d_min:5.2f} "
        f"{n_beams:6.0f} {1e3 * seconds / n:8.2f} {seconds * 41 / 6:9.2f} {table:8.1f}"
    )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--orientations", type=int, default=2 * BLOCK)
    parser.add_argument("--crystals", type=int, default=200)
    parser.add_argument("--nproc", type=int, default=2)
    args = parser.parse_args()
    compare_orientations(args.orientations)
    whole_set(args.crystals, args.nproc)
    print("3. Cost, 400 Å ± 30 % in five layers, one thread (40°: s a crystal)")
    print("   space group     Å³  d_min  beams  ms/orientation  40°    table")
    for space_group in ("P 1 21/c 1", "P 21 21 21"):
        for edge in (7.0, 10.0, 14.0):
            cost_of(space_group, edge, 0.9)
        for d_min in (1.2, 0.75):
            cost_of(space_group, 10.0, d_min)


if __name__ == "__main__":
    main()
