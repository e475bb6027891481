"""
A refined structure as a SHELX .res file, with which SHELXL and Olex2 go on.

Instructions and atoms are followed by what SHELXL puts behind them: figures of the
refinement and the difference peaks that are more than noise as Q atoms. Peaks have the unit
of F [Å] over a volume [Å³], as SHELXL has them with the form factors of electrons in SFAC.

Functions:
    refined_res: the text of the file
    formula_units: what is in a formula unit, and how many of these in the cell
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cctbx import xray
from smtbx.refinement.constraints.geometrical import hydrogens

from dials_spread.refinement.difference_map import HIGH, POTENTIAL
from dials_spread.refinement.hydrogen import RidingGroup
from dials_spread.refinement.result import Refinement
from dials_spread.shelx import Riding, instructions
from dials_spread.structures.cell_content import cell_content

AFIX = {
    hydrogens.tertiary_xh_site: 13,
    hydrogens.secondary_xh2_sites: 23,
    hydrogens.secondary_planar_xh_site: 43,
    hydrogens.terminal_planar_xh2_sites: 93,
    hydrogens.terminal_tetrahedral_xh3_sites: 137,
    hydrogens.terminal_tetrahedral_xh_site: 147,
    hydrogens.terminal_linear_ch_site: 163,
}
"""What SHELXL calls the geometries of smtbx; methyl and hydroxyl may turn."""

AS_IT_IS = 3
"""AFIX of hydrogen that keeps its distance and direction."""


def refined_res(
    refinement: Refinement,
    wavelength: float,
    factor: float = 1.0,
    title: str = "refined",
    cell_error: Sequence[float] | None = None,
) -> str:
    """
    Write a refined structure.

    Args:
        refinement: The structure and its figures.
        wavelength: [Å].
        factor: By which intensities were multiplied for the .hkl file.
        title: One line.
        cell_error: Standard uncertainties of the cell, see shelx.instructions.

    Raises:
        ValueError: SHELX has no setting for the space group.
    """
    contents, Z = formula_units(refinement.structure)
    text = instructions(
        refinement.structure.crystal_symmetry(),
        wavelength,
        contents,
        Z,
        title=title,
        structure=refinement.structure,
        cell_error=cell_error,
        weights=refinement.weights,
        scale=factor * refinement.scale,
        riding=[_riding(group) for group in refinement.groups],
    )
    assert text.endswith("HKLF 4\nEND\n")
    lines = [text.rstrip("\n").removesuffix("END").rstrip("\n"), *_remarks(refinement)]
    return "\n".join([*lines, "END", *_peaks(refinement)]) + "\n"


def formula_units(structure: xray.structure) -> tuple[dict[str, float], int]:
    """
    Say what is in a formula unit, and how many of these are in the cell.

    Args:
        structure: Its atoms. Z is the largest part of the number of general positions
            that divides the numbers of atoms in the cell; all of it where these are not
            whole.
    """
    in_cell = cell_content(structure)
    counts = np.array([*in_cell.values()])
    whole = np.rint(counts).astype(int)
    Z = structure.space_group().order_z()
    if np.abs(counts - whole).max() < 0.01:
        Z = int(np.gcd.reduce([Z, *whole]))
    return {element: n / Z for element, n in in_cell.items()}, Z


def _riding(group: RidingGroup) -> Riding:
    code = AFIX.get(group.geometry, AS_IT_IS)
    length = None if code == AS_IT_IS else group.length
    return Riding(group.parent, tuple(group.hydrogen), code, length, group.u_ratio)


def _remarks(one: Refinement) -> list[str]:
    """Figures, as SHELXL puts them."""
    told = [
        "REM refined with smtbx, full matrix on F2, electron form factors",
        f"REM R1 = {one.r1_strong:7.4f} for {one.n_strong} Fo > 4sig(Fo) and "
        f"{one.r1_all:.4f} for all {one.n_observations} data",
        f"REM wR2 = {one.wr2:.4f}, GooF = S = {one.goodness_of_fit:.3f} for all data",
        f"REM {one.n_parameters} parameters refined using 0 restraints",
    ]
    if not one.converged:
        told.append(f"REM THE REFINEMENT DID NOT CONVERGE: {_ascii(one.reason)}")
    return told


def _ascii(text: str) -> str:
    return text.replace("Å", "A").encode("ascii", "replace").decode("ascii")


def _peaks(one: Refinement) -> list[str]:
    """Difference peaks, which follow END."""
    high, low = (
        0.0 if peak is None else peak.height / POTENTIAL
        for peak in (one.highest_peak, one.lowest_peak)
    )
    lines = [
        f"WGHT {one.weights[0]:.4f} {one.weights[1]:.4f}",
        f"REM Highest difference peak {high:.3f}, deepest hole {low:.3f}, "
        f"1-sigma level {one.map_sigma / POTENTIAL:.3f}",
        f"REM in A^-2, F over a volume; times {POTENTIAL:.2f} in volts.",
        f"REM Q are peaks above {HIGH:g} sigma: below, noise makes peaks, too.",
    ]
    sure = [peak for peak in one.peaks if peak.in_sigma > HIGH]
    for number, peak in enumerate(sure, start=1):
        site = " ".join(f"{x:.4f}" for x in peak.site)
        label = f"Q{number}"
        lines.append(f"{label:4s} 1 {site} 11.00000 0.05 {peak.height / POTENTIAL:.3f}")
    return lines
