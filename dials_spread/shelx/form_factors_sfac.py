"""
Electron form factors as SHELX takes them: four Gaussians and a constant.

Functions:
    four_gaussians: fitted to the table
    sfac: the instruction
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.optimize import least_squares

from cctbx.eltbx import covalent_radii, tiny_pse

from dials_spread.scattering.form_factors import electron_form_factor

S = np.linspace(0.0, 1.0, 101)
"""sin θ / λ [1/Å] of the fit: to d = 0.5 Å."""

LARGEST_B = 100.0


@cache
def four_gaussians(element: str) -> tuple[np.ndarray, float]:
    """
    Fit f(s) = Σ aᵢ exp(-bᵢ s²) + c to the electron form factor of a neutral atom.

    The table is International Tables C (2011), 4.3.2.2, five Gaussians; 9 numbers are what
    SFAC takes.

    Args:
        element: Symbol.

    Returns:
        a1, b1 … a4, b4, c [Å, Å²], shape (9,), and the largest misfit to s = 1 per
        angstrom, relative to f(0).
    """
    f = electron_form_factor(element, 0, S)

    def curve(p: np.ndarray) -> np.ndarray:
        gaussians = p[0:8:2] * np.exp(-p[1:8:2] * S[:, None] ** 2)
        return gaussians.sum(axis=1) + p[8]

    weights, widths = (0.1, 0.25, 0.35, 0.3), (0.5, 3.0, 11.0, 35.0)
    start = [x for a, b in zip(weights, widths) for x in (a * f[0], b)]
    low = [0.0, 0.01] * 4 + [-0.1]
    bounds = (low, [LARGEST_B] * 9)
    fit = least_squares(lambda p: curve(p) - f, [*start, 0.0], bounds=bounds)
    return fit.x, float(np.abs(fit.fun).max() / f[0])


def sfac(element: str) -> list[str]:
    """
    Give the SFAC instruction of an element: the 14 numbers on two lines, after a remark.

    Label, a1 b1 … a4 b4 c, f', f'', μ (all three 0 for electrons), radius [Å], weight.
    """
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
