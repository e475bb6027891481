"""
What a correction is for: structures that solve, and coordinates that are right.

    python benchmarks/structure_solution.py [--model FILE] [--data FOLDER] [--starts 10]
        [--thickness 1800] [--d-min 0.9] [--crystals 2] [--volumes 500 900]

1. Charge flipping (smtbx, Oszlányi & Sütő) from random phases on simulated compounds: the
   plain merge, corrected amplitudes and true |F|. A start has solved where the map it
   ends with correlates by more than 0.6 with the true one, whatever the origin and the
   hand. Every start has at most 400 cycles. Compounds are paracetamol form II and random
   organic ones; thickness [Å], resolution and size are such that plain data are at the
   edge of what can be solved.
2. Least squares (smtbx) of the measured sets on F², from the published coordinates moved
   by 0.1 Å: R1, and how far atoms other than hydrogen end from the published places,
   where the space group fixes the origin in all directions or after the mean shift along
   the polar ones is taken out. Displacements are isotropic; hydrogen stays in place.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from general_model_controls import Case, from_files, split

from cctbx import crystal, miller, xray
from cctbx.array_family import flex
from scitbx.lstbx import normal_eqns_solving
from smtbx.ab_initio import charge_flipping
from smtbx.refinement import constraints, least_squares
from smtbx.utils import connectivity_table

from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.general import GeneralModel, correct_prepared, unpack
from dials_spread.correction.model.model_file import read_model
from dials_spread.general_model.gather import measured_of, true_amplitudes
from dials_spread.observations import Observations
from dials_spread.prepare.prepared import prepare
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.structures.structure_files import read_structure

CYCLES = 400
SOLVED = 0.6
RANDOM = {
    "P 1 21/c 1": 11,
    "P 21 21 21": 12,
    "C 1 2/c 1": 13,
    "P -1": 14,
    "P 1 21 1": 15,
}
"""Random organic compounds by space group; seeds that the training does not use."""


def compounds(
    volumes: tuple[float, float],
) -> Iterator[tuple[str, xray.structure]]:
    """A published structure, and random ones."""
    yield "paracetamol", read_structure("paracetamol")
    for space_group, seed in RANDOM.items():
        wishes = Wishes(kind="organic", space_group=space_group, volume=volumes)
        rng = np.random.default_rng([99, seed])
        yield f"random {space_group}", random_compound(rng, wishes)


def simulate(structure: xray.structure, number: int, args: argparse.Namespace) -> Case:
    """Crystals measured as 3D ED is."""
    rng = np.random.default_rng([7, number])
    n = args.crystals
    experiments, reflections = simulate_experiments(
        structure, rng, n_crystals=n, scan_width=[60.0] * n, d_min=args.d_min,
        wave="dynamical", resources=Resources(None),
        thickness=ThicknessModel(median=args.thickness, spread=0.4, within=0.4),
        noise=NoiseModel(mean_counts=800.0, extra_error=0.05),
    )  # fmt: skip
    tables = split(reflections, len(experiments))
    observations, measured = measured_of(experiments, tables)
    return Case("", "", measured, true_amplitudes(observations, tables))


def amplitude_array(
    measured: Observations, F: np.ndarray, structure: xray.structure
) -> miller.array:
    """Amplitudes of unique reflections for cctbx; those that are nought are left out."""
    symmetry = crystal.symmetry(
        unit_cell=structure.unit_cell(), space_group=structure.space_group()
    )
    kept = np.isfinite(F) & (F > 0)
    columns = [flex.int(np.ascontiguousarray(c[kept])) for c in measured.unique_index.T]
    indices = miller.set(symmetry, flex.miller_index(*columns), anomalous_flag=False)
    data = flex.double(np.ascontiguousarray(F[kept]))
    return miller.array(indices, data).set_observation_type_xray_amplitude()


def normalisations(f_obs: miller.array) -> miller.array:
    """Root mean square amplitudes by resolution; of all where shells are too empty."""
    try:
        return f_obs.amplitude_quasi_normalisations()
    except AssertionError:
        level = float(np.sqrt(np.mean(np.array(f_obs.data()) ** 2)))
        return f_obs.customized_copy(data=flex.double(f_obs.size(), level))


def solve(f_obs: miller.array, seed: int) -> miller.array:
    """One start of charge flipping; the amplitudes with their phases, in P1."""
    flex.set_random_seed(seed)
    solving = charge_flipping.solving_iterator(
        charge_flipping.basic_iterator(delta=None),
        f_obs,
        normalisations_for=normalisations,
        yield_during_delta_guessing=True,
        yield_solving_interval=1,
        max_attempts_to_get_phase_transition=1,
        max_solving_iterations=CYCLES,
    )
    for cycle, flipping in enumerate(solving):
        phased = flipping.f_calc
        if solving.state in (solving.polishing, solving.finished):
            break
        if cycle > 2 * CYCLES:
            break
    in_p1 = f_obs.expand_to_p1().merge_equivalents().array()
    return in_p1.phase_transfer(phased)


def map_correlation(found: miller.array, true: miller.array) -> float:
    """Of two maps in P1, at the best shift, of the better hand."""
    found, true = found.common_sets(true)
    hkl = np.array(list(found.indices()))
    limits = 2 * np.abs(hkl).max(axis=0) + 2
    F, T = (np.array(a.data()) for a in (found, true))
    norm = np.sqrt(np.sum(np.abs(F) ** 2) * np.sum(np.abs(T) ** 2))
    best = 0.0
    for hand in (F, np.conj(F)):
        grid = np.zeros(limits, dtype=complex)
        # Both halves of reciprocal space: the map is real.
        grid[tuple(hkl.T % limits[:, None])] = hand * np.conj(T)
        grid[tuple((-hkl).T % limits[:, None])] = np.conj(hand) * T
        overlap = np.fft.ifftn(grid).real * grid.size
        best = max(best, float(overlap.max()) / (2 * norm))
    return best


def charge_flipping_table(model: GeneralModel, args: argparse.Namespace) -> None:
    """Part 1."""
    starts = args.starts
    print(f"1. Charge flipping: starts of {starts} that solve, and R1")
    total = {"merge": 0, "corrected": 0, "true": 0}
    n = 0
    for number, (name, structure) in enumerate(compounds(tuple(args.volumes))):
        case = simulate(structure, number, args)
        prepared = prepare(case.measured)
        plain = np.sqrt(np.maximum(prepared.with_damage.merged(), 0))
        corrected = correct_prepared(model, prepared)[0].F
        true = amplitude_array(case.measured, case.F, structure)
        calculated = true.structure_factors_from_scatterers(
            structure, algorithm="direct"
        )
        target = calculated.f_calc().expand_to_p1().merge_equivalents().array()
        line = f"  {name:20s}"
        for title, F in (("merge", plain), ("corrected", corrected), ("true", case.F)):
            f_obs = amplitude_array(case.measured, F, structure)
            reached = [map_correlation(solve(f_obs, k), target) for k in range(starts)]
            solved = sum(cc > SOLVED for cc in reached)
            total[title] += solved
            line += f"{title} {solved:3d} (R1 {r_factor(F, case.F)[0]:.3f}, mean CC "
            line += f"{np.mean(reached):.2f})  "
        print(line, flush=True)
        n += starts
    print("  in all of", n, ", ".join(f"{k} {v}" for k, v in total.items()))


def refine(
    structure: xray.structure, f_sq: miller.array, seed: int
) -> tuple[float, float]:
    """R1 of |F|, and the mean distance to the published places [Å]."""
    start = structure.deep_copy_scatterers()
    start.convert_to_isotropic()
    heavy = flex.bool([s.scattering_type != "H" for s in start.scatterers()])
    rng = np.random.default_rng(seed)
    cell = start.unit_cell()
    sites = start.sites_cart()
    for i in range(len(sites)):
        if heavy[i] and start.scatterers()[i].multiplicity() == len(
            start.space_group()
        ):
            step = rng.standard_normal(3)
            step *= 0.1 / np.linalg.norm(step)
            sites[i] = tuple(np.array(sites[i]) + step)
    start.set_sites_cart(sites)
    for i, scatterer in enumerate(start.scatterers()):
        scatterer.flags.set_grad_site(bool(heavy[i]))
        scatterer.flags.set_grad_u_iso(bool(heavy[i]))
        scatterer.flags.set_use_u_iso(True)
    parameters = constraints.reparametrisation(
        structure=start,
        constraints=[],
        connectivity_table=connectivity_table(start),
    )
    problem = least_squares.crystallographic_ls(
        f_sq.as_xray_observations(),
        parameters,
        weighting_scheme=least_squares.mainstream_shelx_weighting(a=0.1),
    )
    normal_eqns_solving.levenberg_marquardt_iterations(
        problem, n_max_iterations=60, track_all=False
    )
    F_c = np.abs(f_sq.structure_factors_from_scatterers(start).f_calc().data())
    F_o = np.sqrt(np.maximum(np.array(f_sq.data()), 0))
    return r_factor(F_o, np.array(F_c))[0], _mean_distance(
        start, structure, heavy, cell
    )


def _mean_distance(found, published, heavy, cell) -> float:
    shift = np.array(found.sites_cart()) - np.array(published.sites_cart())
    shift = shift[np.array(heavy)]
    # Along polar directions the origin is anywhere.
    info = published.space_group_info()
    for direction in info.structure_seminvariants().vectors_and_moduli():
        if direction.m == 0:
            axis = np.array(cell.orthogonalize(direction.v))
            axis /= np.linalg.norm(axis)
            shift = shift - np.outer(np.full(len(shift), (shift @ axis).mean()), axis)
    return float(np.linalg.norm(shift, axis=1).mean())


def refinement_table(model: GeneralModel, folder: Path) -> None:
    """Part 2."""
    print("2. Refinement: R1 and mean position error [Å], with two kinds of weights")
    for case in from_files(folder):
        name = case.name.split(",")[0]
        structure = read_structure(name)
        prepared = prepare(case.measured)
        plain = np.sqrt(np.maximum(prepared.with_damage.merged(), 0))
        fixed = correct_prepared(model, prepared)[0]
        own = prepared.merged_sigma / np.maximum(2 * plain, 1e-9)
        for title, F, error in (
            ("merge", plain, own),
            ("merge, expected errors", plain, fixed.error_F),
            ("corrected, σ of the merge", fixed.F, own),
            ("corrected", fixed.F, fixed.error_F),
        ):
            f_sq = intensity_array(case.measured, F, error, structure)
            results = [refine(structure, f_sq, seed) for seed in range(3)]
            R1, distance = np.median(results, axis=0)
            print(f"  {name:14s}{title:28s}R1 {R1:.3f}, {distance:.4f} Å", flush=True)


def intensity_array(
    measured: Observations, F: np.ndarray, error: np.ndarray, structure: xray.structure
) -> miller.array:
    """F² with σ(F²) = 2 F σ(F), no smaller than 2 % of the mean."""
    amplitudes = amplitude_array(measured, np.maximum(F, 1e-6 * F.max()), structure)
    F2 = np.array(amplitudes.data()) ** 2
    kept = np.isfinite(F)
    sigma = 2 * np.maximum(F, 0.1 * F.mean())[kept] * error[kept]
    sigma = np.maximum(sigma, 0.02 * F2.mean())
    return miller.array(
        amplitudes, flex.double(F2), flex.double(sigma)
    ).set_observation_type_xray_intensity()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default=str(SHIPPED))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--starts", type=int, default=10, help="0: refinement alone")
    parser.add_argument("--thickness", type=float, default=1800.0)
    parser.add_argument("--d-min", type=float, default=0.9)
    parser.add_argument("--crystals", type=int, default=2)
    parser.add_argument("--volumes", type=float, nargs=2, default=(500.0, 900.0))
    parser.add_argument("--no-refinement", action="store_true")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    model = unpack(read_model(args.model))
    if not args.no_refinement:
        refinement_table(model, args.data)
    if args.starts:
        charge_flipping_table(model, args)


if __name__ == "__main__":
    main()
