"""
Write a start file for SHELXT, SHELXL and Olex2 with electron form factors.

    python shelx_ins.py scaled.expt NAME C=8,H=9,N=1,O=2 Z SPACE_GROUP > NAME.ins

SHELX takes 9 numbers a form factor, four Gaussians and a constant; they are fitted here
to the electron form factors of International Tables C, 4.3.2.2 to sin(theta)/lambda = 1
per angstrom, with what the fit leaves in a remark. Cell and wavelength are those of the
experiments (the mean of their cells).
"""

from __future__ import annotations

import io
import sys

import numpy as np
from scipy.optimize import least_squares

from cctbx import sgtbx
from cctbx.eltbx import covalent_radii, tiny_pse
from dxtbx.model.experiment_list import ExperimentListFactory
from iotbx.shelx.write_ins import LATT_SYMM

from dials_spread.scattering.form_factors import electron_form_factor

S = np.linspace(0.0, 1.0, 101)


def four_gaussians(element: str) -> tuple[np.ndarray, float]:
    """a1, b1 … a4, b4, c [Å, Å²], and the largest misfit relative to f(0)."""
    f = electron_form_factor(element, 0, S)

    def curve(p: np.ndarray) -> np.ndarray:
        gaussians = p[0:8:2] * np.exp(-p[1:8:2] * S[:, None] ** 2)
        return gaussians.sum(axis=1) + p[8]

    start = [
        0.1 * f[0],
        0.5,
        0.25 * f[0],
        3.0,
        0.35 * f[0],
        11.0,
        0.3 * f[0],
        35.0,
        0.0,
    ]
    low = [0.0, 0.01] * 4 + [-0.1]
    fit = least_squares(lambda p: curve(p) - f, start, bounds=(low, [100.0] * 9))
    return fit.x, float(np.abs(fit.fun).max() / f[0])


def sfac(element: str) -> list[str]:
    """The SFAC instruction of an element, in two lines."""
    p, misfit = four_gaussians(element)
    radius = covalent_radii.table(element).radius()
    weight = tiny_pse.table(element).weight()
    return [
        f"REM {element}: largest misfit {misfit:.1%} of f(0)",
        f"SFAC {element} " + " ".join(f"{x:.4f}" for x in p[:6]) + " =",
        "  "
        + " ".join(f"{x:.4f}" for x in p[6:])
        + f" 0 0 0 {radius:.2f} {weight:.3f}",
    ]


def main() -> None:
    """Write to standard output."""
    file, name, formula, Z, group = sys.argv[1:]
    experiments = ExperimentListFactory.from_json_file(file, check_format=False)
    cells = np.array([e.crystal.get_unit_cell().parameters() for e in experiments])
    cell, error = cells.mean(axis=0), cells.std(axis=0, ddof=1) / np.sqrt(len(cells))
    contents = dict(part.split("=") for part in formula.split(","))
    lines = [
        f"TITL {name} in {group}",
        f"CELL {experiments[0].beam.get_wavelength():.5f} "
        + " ".join(f"{x:.4f}" for x in cell),
        f"ZERR {Z} " + " ".join(f"{x:.4f}" for x in error),
    ]
    space_group = sgtbx.space_group_info(group).group()
    symmetry = io.StringIO()
    LATT_SYMM(symmetry, space_group)
    lines += symmetry.getvalue().splitlines()
    for element in contents:
        lines += sfac(element)
    lines += [
        "UNIT " + " ".join(str(int(n) * int(Z)) for n in contents.values()),
        "TEMP -173",
        "L.S. 10",
        "BOND $H",
        "ACTA",
        "LIST 4",
        "FMAP 2",
        "PLAN 20",
        "WGHT 0.1",
        "FVAR 1",
        "HKLF 4",
        "END",
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
