"""
A first refinement of atoms that were found, isotropic and with few cycles (smtbx).

Functions:
    refine_sites: sites and displacements
    common_displacement: one for all atoms
    model_r1: R1 of a model
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from cctbx import adptbx, miller, xray
from cctbx.array_family import flex
from scitbx.lstbx import normal_eqns_solving

from dials_spread.observations.table import as_flex
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.solution.amplitudes import SphereAmplitudes

CYCLES = 10
LARGEST_U, SMALLEST_U = 0.3, 0.001
"""Displacements are kept within [Å²]: an atom beyond is none."""


def refine_sites(
    structure: xray.structure, amplitudes: SphereAmplitudes, displacements: bool
) -> xray.structure:
    """
    Refine on F², weights as SHELXL's WGHT 0.1.

    Args:
        structure: Isotropic.
        amplitudes: The data.
        displacements: Whether every atom has a displacement parameter of its own; if not,
            the one for all that gives the lowest R1 is taken.

    Returns:
        The refined structure, or the one given where least squares fail or raise R1.
    """
    # A quarter of a second, which programs that refine nothing need not wait.
    from smtbx.refinement import constraints, least_squares
    from smtbx.utils import connectivity_table

    start = structure.deep_copy_scatterers()
    if not displacements:
        start.set_u_iso(value=common_displacement(start, amplitudes))
    refined = start.deep_copy_scatterers()
    for scatterer in refined.scatterers():
        scatterer.flags.set_grad_site(True)
        scatterer.flags.set_use_u_iso_only()
        scatterer.flags.set_grad_u_iso(displacements)
    problem = least_squares.crystallographic_ls(
        intensities_of(structure, amplitudes).as_xray_observations(),
        constraints.reparametrisation(
            structure=refined,
            constraints=[],
            connectivity_table=connectivity_table(refined),
        ),
        weighting_scheme=least_squares.mainstream_shelx_weighting(a=0.1),
    )
    try:
        normal_eqns_solving.levenberg_marquardt_iterations(
            problem, n_max_iterations=CYCLES, track_all=False
        )
    except (RuntimeError, AssertionError, ValueError):
        return start
    u = refined.extract_u_iso_or_u_equiv().as_numpy_array()
    sites = np.array(refined.sites_frac())
    if not (np.isfinite(u).all() and np.isfinite(sites).all()):
        return start
    refined.set_u_iso(value=None, values=flex.double(np.clip(u, SMALLEST_U, LARGEST_U)))
    better = model_r1(refined, amplitudes) < model_r1(start, amplitudes)
    return refined if better else start


def common_displacement(
    structure: xray.structure, amplitudes: SphereAmplitudes
) -> float:
    """U [Å²] that, the same for all atoms, gives the lowest R1."""
    at_rest = structure.deep_copy_scatterers()
    at_rest.set_u_iso(value=0.0)
    rows = amplitudes.unique
    F = np.abs(structure_factors(at_rest, amplitudes.miller_index[rows]))
    F_o, s_sq = amplitudes.F[rows], amplitudes.s[rows] ** 2

    def r1(u: float) -> float:
        return r_factor(F_o, F * np.exp(-adptbx.u_as_b(u) * s_sq))[0]

    found = minimize_scalar(r1, bounds=(SMALLEST_U, LARGEST_U), method="bounded")
    return float(found.x)


def intensities_of(
    structure: xray.structure, amplitudes: SphereAmplitudes
) -> miller.array:
    """F² of the unique reflections, σ a hundredth of their mean."""
    rows = amplitudes.unique
    points = miller.set(
        structure.crystal_symmetry(),
        as_flex(amplitudes.miller_index[rows]),
        anomalous_flag=False,
    )
    squared = amplitudes.F[rows] ** 2
    sigma = flex.double(len(rows), float(squared.mean()) / 100)
    array = miller.array(points, flex.double(squared), sigma)
    return array.map_to_asu().set_observation_type_xray_intensity()


def model_r1(structure: xray.structure, amplitudes: SphereAmplitudes) -> float:
    """R1 of a model with all unique reflections, on the scale that minimises it."""
    rows = amplitudes.unique
    F_c = np.abs(structure_factors(structure, amplitudes.miller_index[rows]))
    return r_factor(amplitudes.F[rows], F_c)[0]
