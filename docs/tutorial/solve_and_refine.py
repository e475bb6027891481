"""
Solve paracetamol by charge flipping, and refine it, from SHELX .hkl files.

    python solve_and_refine.py plain.hkl paracetamol.hkl merged.hkl

What SHELXT and SHELXL, or Olex2, do, with what comes with DIALS (smtbx). The published
structure serves for two things: to judge each step, and for the places of hydrogen,
which SHELXL would calculate (HFIX).
"""

from __future__ import annotations

import io
import sys

import numpy as np

from cctbx import crystal, maptbx, miller, sgtbx, xray
from cctbx.array_family import flex
from iotbx.reflection_file_reader import any_reflection_file
from scitbx.lstbx import normal_eqns_solving
from smtbx.ab_initio import charge_flipping
from smtbx.refinement import constraints, least_squares
from smtbx.utils import connectivity_table

from dials_spread.rfactor.r1 import r_factor
from dials_spread.structures.structure_files import read_structure

SETTING = "c,b,-a"
"""From the published setting, cyclically permuted, to Pbca, as in dials.reindex."""

STARTS, CYCLES = 4, 300

FOUND = 0.4
"""A peak so near to an atom is that atom [Å]."""


def published() -> xray.structure:
    """The structure in the setting of the data, with electron form factors."""
    # Pcab with a, b, c = 11.8, 17.2, 7.4 Å; dials.index sorts axes by length.
    sorted_axes = sgtbx.change_of_basis_op("c,a,b")
    structure = read_structure("paracetamol").change_basis(sorted_axes)
    structure = structure.change_basis(sgtbx.change_of_basis_op(SETTING))
    structure.scattering_type_registry(table="electron")
    return structure


def intensities(file: str, symmetry: crystal.symmetry) -> miller.array:
    """Merged intensities of an .hkl file, without those of systematic absences."""
    reader = any_reflection_file(f"{file}=hklf4")
    array = reader.as_miller_arrays(crystal_symmetry=symmetry)[0]
    array = array.map_to_asu().set_observation_type_xray_intensity()
    array = array.eliminate_sys_absent(log=open("absences.out", "w"))
    merging = array.merge_equivalents()
    merged = merging.array().set_observation_type_xray_intensity()
    several = array.size() > merged.size()
    told = f"R_int {merging.r_int():.3f}" if several else "merged already"
    print(f"{file}: {array.size()} intensities, {merged.size()} unique, {told}")
    return merged


def normalisations(f_obs: miller.array) -> miller.array:
    """Root mean square amplitudes by resolution."""
    f_obs.setup_binner(reflections_per_bin=100)
    return f_obs.amplitude_quasi_normalisations()


def peaks_of(start: int, f_obs: miller.array) -> np.ndarray | None:
    """Coordinates of the 11 highest peaks after one start; None without a solution."""
    flex.set_random_seed(start)
    solving = charge_flipping.solving_iterator(
        charge_flipping.basic_iterator(delta=None),
        f_obs,
        normalisations_for=normalisations,
        max_attempts_to_get_phase_transition=1,
        max_solving_iterations=CYCLES,
        max_attempts_to_get_sharp_correlation_map=1,
    )
    charge_flipping.loop(solving, verbose=False, out=io.StringIO())
    if not solving.f_calc_solutions:
        return None
    phased = solving.f_calc_solutions[0][0]
    f_map = phased.fft_map(
        symmetry_flags=maptbx.use_space_group_symmetry, resolution_factor=0.25
    )
    apart = maptbx.peak_search_parameters(
        min_distance_sym_equiv=0.8, min_cross_distance=0.8, max_clusters=11
    )
    return np.array(list(f_map.peak_search(apart, verify_symmetry=False).all().sites()))


def place(peaks: np.ndarray, structure: xray.structure) -> tuple:
    """
    Find the atoms among peaks, from whichever origin puts most of them right.

    Args:
        peaks: Shape (p, 3), fractional.
        structure: The true one.

    Returns:
        Of atoms other than hydrogen, the distance to the nearest peak [Å], shape (a,),
        and where that is, shape (a, 3).
    """
    to_cartesian = np.reshape(structure.unit_cell().orthogonalization_matrix(), (3, 3))
    sites = np.array(structure.select(heavy_atoms(structure)).sites_frac())
    operators = [
        (np.reshape(op.r().as_double(), (3, 3)), np.array(op.t().as_double()))
        for op in structure.space_group()
    ]
    found = []
    for origin in np.ndindex(2, 2, 2):
        moved = peaks + np.array(origin) / 2
        moved = np.concatenate([moved @ r.T + t for r, t in operators])
        apart = moved[None] - sites[:, None]
        apart -= np.round(apart)
        distance = np.linalg.norm(apart @ to_cartesian.T, axis=2)
        nearest = distance.argmin(axis=1)
        rows = np.arange(len(sites))
        found.append((distance[rows, nearest], sites + apart[rows, nearest]))
    return min(found, key=lambda one: np.minimum(one[0], 1).sum())


def heavy_atoms(structure: xray.structure) -> flex.bool:
    """Which atoms are not hydrogen."""
    return flex.bool([s.scattering_type != "H" for s in structure.scatterers()])


def solve(f_sq: miller.array, structure: xray.structure) -> np.ndarray | None:
    """Some starts of charge flipping; the sites from the best of them."""
    f_obs = f_sq.select(f_sq.data() > 0).f_sq_as_f()
    n, solved, best = heavy_atoms(structure).count(True), 0, (0, None)
    for start in range(STARTS):
        peaks = peaks_of(start, f_obs)
        if peaks is None:
            continue
        distance, sites = place(peaks, structure)
        right = int((distance < FOUND).sum())
        solved += right == n
        best = max(best, (right, sites), key=lambda one: one[0])
    print(
        f"  charge flipping: {solved} of {STARTS} starts find all {n} atoms, the best "
        f"one {best[0]}"
    )
    return best[1] if best[0] == n else None


def cycle(model: xray.structure, f_sq: miller.array, anisotropic: bool) -> float:
    """Refine sites and displacements of all atoms but hydrogen; give wR2."""
    heavy = heavy_atoms(model)
    if anisotropic:
        model.convert_to_anisotropic(selection=heavy)
    for is_heavy, atom in zip(heavy, model.scatterers()):
        atom.flags.set_grad_site(is_heavy)
        atom.flags.set_grad_u_aniso(is_heavy and anisotropic)
        atom.flags.set_grad_u_iso(is_heavy and not anisotropic)
    problem = least_squares.crystallographic_ls(
        f_sq.as_xray_observations(),
        constraints.reparametrisation(
            structure=model,
            constraints=[],
            connectivity_table=connectivity_table(model),
        ),
        weighting_scheme=least_squares.mainstream_shelx_weighting(a=0.1),
    )
    normal_eqns_solving.levenberg_marquardt_iterations(
        problem, n_max_iterations=60, track_all=False
    )
    return problem.wR2()


def refine(structure: xray.structure, sites: np.ndarray, f_sq: miller.array) -> None:
    """Start from peaks, isotropic and then anisotropic, and say what came out."""
    model, heavy = structure.deep_copy_scatterers(), heavy_atoms(structure)
    for i, site in zip(heavy.iselection(), sites):
        model.scatterers()[i].site = tuple(site)
    cycle(model, f_sq, anisotropic=False)
    wR2 = cycle(model, f_sq, anisotropic=True)
    f_c = f_sq.structure_factors_from_scatterers(model, algorithm="direct").f_calc()
    f_c = np.abs(np.array(f_c.data()))
    I, sigma = np.array(f_sq.data()), np.array(f_sq.sigmas())
    f_o, strong = np.sqrt(np.maximum(I, 0)), I > 2 * sigma
    apart = np.array(model.sites_cart()) - np.array(structure.sites_cart())
    apart = np.linalg.norm(apart[np.array(heavy)], axis=1)
    print(
        f"  R1 {r_factor(f_o[strong], f_c[strong])[0]:.3f} for {strong.sum()} "
        f"Fo > 4sig(Fo), {r_factor(f_o, f_c)[0]:.3f} for all {len(f_o)}, wR2 {wR2:.3f}"
    )
    print(
        f"  distance to the published places: {apart.mean():.3f} Å, {apart.max():.3f} Å at most"
    )


def main() -> None:
    """Solve with each file, then refine with each, all from one solution."""
    structure = published()
    symmetry = structure.crystal_symmetry()
    data, solution = {}, None
    for file in sys.argv[1:]:
        data[file] = intensities(file, symmetry)
        found = solve(data[file], structure)
        solution = found if solution is None else solution
    if solution is None:
        sys.exit("Not solved: more STARTS, or better data")
    for file, f_sq in data.items():
        print(f"{file}, refined:")
        refine(structure, solution, f_sq)


if __name__ == "__main__":
    main()
