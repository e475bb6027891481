"""
A refined structure as a CIF with standard uncertainties.

Names are those of the core dictionary and, for what only electrons need, of the dictionary
of electron diffraction (cif_ed.dic of COMCIFS, 2024).

Functions:
    refined_cif: the text of the file
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

import iotbx.cif
from cctbx import xray
from cctbx.array_family import flex
from iotbx.cif import model as cif_model
from iotbx.cif.geometry import distances_as_cif_loop
from smtbx.utils import connectivity_table

from dials_spread.refinement.refined_res import formula_units
from dials_spread.refinement.result import Refinement

ELEMENTARY = 14.399645
"""e / (4π ε₀) [V Å], which turns volts into electrons per ångström."""

CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")

TYPES = "_atom_type"
"""A loop of X-ray form factors that cctbx writes, which are of no use here."""


def refined_cif(
    refinement: Refinement,
    wavelength: float,
    name: str = "refined",
    limits: tuple[float, float] | None = None,
    details: str = "",
) -> str:
    """
    Write a refined structure.

    Args:
        refinement: The structure and its figures.
        wavelength: [Å].
        name: Of the data block.
        limits: Largest and smallest d of the reflections [Å].
        details: What is to be said of the refinement.
    """
    structure, covariance = refinement.structure, _packed(refinement)
    block = structure.as_cif_block(covariance_matrix=covariance, format="coreCIF")
    for key, value in zip(CELL, structure.unit_cell().parameters()):
        block[f"_cell_{key}"] = f"{value:.5f}"
    _say_riding(block, refinement)
    for key, value in _figures(refinement, wavelength, limits, details).items():
        block[key] = value
    if covariance is not None:
        block.add_loop(_bonds(structure, covariance))
    for key in [key for key in block if key.startswith(TYPES)]:
        del block[key]
    file = iotbx.cif.model.cif()
    file[re.sub(r"\s+", "_", name)] = block
    return str(file).rstrip() + "\n"


def _packed(refinement: Refinement) -> flex.double | None:
    """The covariances as cctbx wants them: the upper triangle, row by row."""
    if refinement.covariance is None:
        return None
    matrix = np.ascontiguousarray(refinement.covariance)
    return flex.double(matrix[np.triu_indices(len(matrix))])


def _say_riding(block: cif_model.block, refinement: Refinement) -> None:
    """Hydrogen that rides, and atoms that stay, have no uncertainties of their own."""
    rides = {h for group in refinement.groups for h in group.hydrogen}
    loop = block.get_loop("_atom_site")
    if loop is None:
        return
    flags = refinement.structure.scatterers()
    for name in ("fract_x", "fract_y", "fract_z", "U_iso_or_equiv"):
        column = loop[f"_atom_site_{name}"]
        for i in range(len(column)):
            if i in rides:
                column[i] = re.sub(r"\(\d+\)$", "", column[i])
    n = flags.size()
    loop.add_column(
        "_atom_site_calc_flag",
        flex.std_string(["calc" if i in rides else "d" for i in range(n)]),
    )
    loop.add_column(
        "_atom_site_refinement_flags_posn",
        flex.std_string(["R" if i in rides else "." for i in range(n)]),
    )


def _figures(
    one: Refinement,
    wavelength: float,
    limits: tuple[float, float] | None,
    details: str,
) -> dict[str, str]:
    """Items that are not loops."""
    a, b = one.weights
    contents, Z = formula_units(one.structure)
    found = {
        "_chemical_formula_sum": formula_sum(contents),
        "_cell_formula_units_Z": str(Z),
        "_diffrn_radiation_probe": "electron",
        "_diffrn_radiation_wavelength": f"{wavelength:.5f}",
        "_reflns_number_total": str(one.n_observations),
        "_reflns_number_gt": str(one.n_strong),
        "_reflns_threshold_expression": "I>2\\s(I)",
        "_refine_ls_structure_factor_coef": "Fsqd",
        "_refine_ls_matrix_type": "full",
        "_refine_ls_weighting_scheme": "calc",
        "_refine_ls_weighting_details": (
            f"w=1/[\\s^2^(Fo^2^)+({a:.4f}P)^2^+{b:.4f}P] where P=(Fo^2^+2Fc^2^)/3"
        ),
        "_refine_ls_hydrogen_treatment": "constr" if one.groups else "undef",
        "_refine_ls_number_reflns": str(one.n_observations),
        "_refine_ls_number_parameters": str(one.n_parameters),
        "_refine_ls_number_restraints": "0",
        "_refine_ls_R_factor_gt": f"{one.r1_strong:.4f}",
        "_refine_ls_R_factor_all": f"{one.r1_all:.4f}",
        "_refine_ls_wR_factor_ref": f"{one.wr2:.4f}",
        "_refine_ls_goodness_of_fit_ref": f"{one.goodness_of_fit:.3f}",
        "_refine.diffraction_theory": "kinematical",
    }
    peaks = {"max": one.highest_peak, "min": one.lowest_peak}
    for key, peak in peaks.items():
        if peak is not None:
            found[f"_refine_diff.potential_{key}"] = f"{peak.height / ELEMENTARY:.3f}"
    found["_refine_diff.potential_RMS"] = f"{one.map_sigma / ELEMENTARY:.3f}"
    if limits is not None:
        found["_reflns_d_resolution_low"] = f"{limits[0]:.3f}"
        found["_reflns_d_resolution_high"] = f"{limits[1]:.3f}"
    said = [details, *one.warnings]
    if not one.converged:
        said.append(f"The refinement did not converge: {one.reason}")
    told = ". ".join(x.strip().rstrip(".") for x in said if x)
    if told:
        found["_refine_special_details"] = f"{told}.".replace("Å", "angstrom")
    return found


def formula_sum(counts: Mapping[str, float]) -> str:
    """Write the content of a formula unit, C and H first."""
    first = ["C", "H"] if "C" in counts else []
    names = [*(x for x in first if x in counts), *sorted({*counts} - {*first})]
    return " ".join(f"{x}{_number(counts[x])}" for x in names)


def _number(n: float) -> str:
    return "" if abs(n - 1) < 0.005 else f"{round(n, 2):g}"


def _bonds(structure: xray.structure, covariance: flex.double) -> cif_model.loop:
    """Bond lengths between atoms other than hydrogen; the cell counts as exact."""
    found = distances_as_cif_loop(
        connectivity_table(structure).pair_asu_table,
        structure.scatterers().extract_labels(),
        structure.sites_frac(),
        covariance_matrix=covariance,
        cell_covariance_matrix=flex.double(21, 0.0),
        parameter_map=structure.parameter_map(),
    )
    return found.loop
