"""
How intensities are distributed, and what Wilson statistics expect of a random structure.

The normalised intensity is z = E² = I/(ε Σ), with Σ the mean of I/ε at that resolution. Of
acentric reflections z is distributed exponentially, of centric ones as χ² with one degree
of freedom: Wilson (1949), Acta Cryst. 2, 318.

Functions:
    fourth_moment: ⟨E⁴⟩/⟨E²⟩², 2 of acentric and 3 of centric reflections
    cumulative: N(z) of a sample
    expected_cumulative: N(z) of Wilson statistics
    mixed_moment: ⟨E⁴⟩/⟨E²⟩² that a mixture of centric and acentric should have
    shell_means: ⟨I/ε⟩ by resolution, of a Wilson plot
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from dials_spread.rfactor.shells import resolution_shells

FOURTH_MOMENT = "⟨E⁴⟩/⟨E²⟩²"
"""Label of fourth_moment in the log and the report."""

EXPECTED_ACENTRIC, EXPECTED_CENTRIC = 2.0, 3.0
"""⟨E⁴⟩/⟨E²⟩² = ⟨z²⟩/⟨z⟩² of the exponential distribution, and of χ² with one degree."""


def fourth_moment(E: np.ndarray) -> float:
    """
    Give ⟨E⁴⟩/⟨E²⟩²; nan where nothing is positive.

    Args:
        E: Shape (u,), normalised amplitudes.

    Source: Stanley (1955), J. Appl. Cryst. 5, 191 (moments of intensities).
    """
    square = np.mean(E**2) if len(E) else 0.0
    return float(np.mean(E**4) / square**2) if square > 0 else float("nan")


def mixed_moment(centric: np.ndarray) -> float:
    """
    Give ⟨E⁴⟩/⟨E²⟩² that Wilson statistics expect of these reflections together.

    Args:
        centric: Shape (u,), bool. Either kind has ⟨E²⟩ = 1, so that ⟨E⁴⟩ is averaged.
    """
    part = float(np.mean(centric)) if len(centric) else float("nan")
    return part * EXPECTED_CENTRIC + (1 - part) * EXPECTED_ACENTRIC


def cumulative(z: np.ndarray, at: np.ndarray) -> np.ndarray:
    """
    Give N(z), the part of the reflections with a normalised intensity up to each value.

    Args:
        z: Shape (u,), normalised intensities.
        at: Shape (m,), increasing.

    Returns:
        Shape (m,), from 0 to 1; nan without reflections.
    """
    if not len(z):
        return np.full(len(at), np.nan)
    return np.searchsorted(np.sort(z), at, side="right") / len(z)


def expected_cumulative(z: np.ndarray, centric: bool) -> np.ndarray:
    """
    Give N(z) of a structure of many equal atoms at random places.

    Args:
        z: Shape (m,), not negative.
        centric: 1 - exp(-z) of acentric, erf √(z/2) of centric reflections.

    Source: Howells, Phillips & Rogers (1950), Acta Cryst. 3, 210.
    """
    z = np.asarray(z, float)
    return erf(np.sqrt(z / 2)) if centric else -np.expm1(-z)


def shell_means(
    intensity: np.ndarray, epsilon: np.ndarray, d_spacing: np.ndarray, n_shells: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Give ⟨I/ε⟩ in shells of resolution, as a Wilson plot without form factors has it.

    Args:
        intensity: Shape (u,), merged.
        epsilon: Shape (u,), factor of the mean intensity from symmetry.
        d_spacing: Shape (u,) [Å].
        n_shells: Shells with nearly equal numbers of reflections.

    Returns:
        Mean (sin θ/λ)² [Å⁻²], ⟨I/ε⟩ and the number of reflections of each shell.
    """
    shells = resolution_shells(d_spacing, n_shells)
    n = np.bincount(shells.shell, minlength=len(shells))
    stol_sq = np.bincount(shells.shell, 0.25 / d_spacing**2, len(shells)) / n
    return stol_sq, np.bincount(shells.shell, intensity / epsilon, len(shells)) / n, n
