"""
How well Fc² of a model agrees with intensities on its scale.

Functions:
    r1: R1 = Σ ||Fo| - |Fc|| / Σ |Fo|, Fo = √max(Fo², 0)
    wr2: wR2 = √(Σ w (Fo² - Fc²)² / Σ w (Fo²)²)
    goodness_of_fit: √(Σ w (Fo² - Fc²)² / (n - p))
    find_outliers: reflections that deviate most
    outlier_flags: to refine without them

R1, wR2 and the goodness of fit are defined as by Sheldrick (2015), Acta Cryst. C71, 3,
with the scale of the refinement; `rfactor` seeks the scale that makes R1 least instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import miller

# |Fo² - Fc²| √w above which a reflection is called an outlier.
OUTLIER = 10.0


@dataclass(frozen=True)
class Outlier:
    """
    A reflection that deviates by more than its weight allows.

    Attributes:
        hkl: Its index.
        fo_sq: On the scale of Fc² [Å²].
        fc_sq: [Å²].
        sigma: σ(Fo²) [Å²], without what the weights add.
        z: (Fo² - Fc²) √w.
    """

    hkl: tuple[int, int, int]
    fo_sq: float
    fc_sq: float
    sigma: float
    z: float


def r1(fo_sq: np.ndarray, fc_sq: np.ndarray) -> float:
    """
    R1 of reflections on one scale.

    Args:
        fo_sq: Shape (n,); negative ones count as zero.
        fc_sq: Shape (n,).

    Returns:
        R1; nan where all Fo are zero.
    """
    f_o, f_c = np.sqrt(np.maximum(fo_sq, 0)), np.sqrt(fc_sq)
    total = np.sum(f_o)
    return float(np.sum(np.abs(f_o - f_c)) / total) if total > 0 else float("nan")


def wr2(fo_sq: np.ndarray, fc_sq: np.ndarray, weight: np.ndarray) -> float:
    """wR2 of reflections on one scale, all of shape (n,); nan where all Fo² are zero."""
    total = np.sum(weight * fo_sq**2)
    misfit = np.sum(weight * (fo_sq - fc_sq) ** 2)
    return float(np.sqrt(misfit / total)) if total > 0 else float("nan")


def goodness_of_fit(
    fo_sq: np.ndarray, fc_sq: np.ndarray, weight: np.ndarray, n_parameters: int
) -> float:
    """Goodness of fit on one scale; nan without more reflections than parameters."""
    freedom = len(fo_sq) - n_parameters
    misfit = np.sum(weight * (fo_sq - fc_sq) ** 2)
    return float(np.sqrt(misfit / freedom)) if freedom > 0 else float("nan")


def find_outliers(
    f_sq: miller.array, fc_sq: np.ndarray, weight: np.ndarray, limit: float = OUTLIER
) -> tuple[tuple[Outlier, ...], np.ndarray]:
    """
    Find reflections that deviate most.

    Args:
        f_sq: Intensities on the scale of Fc², n of them.
        fc_sq: Shape (n,).
        weight: Shape (n,).
        limit: |Fo² - Fc²| √w above which a reflection is one.

    Returns:
        The outliers, the largest first, and which they are, shape (n,).
    """
    fo_sq, sigma = np.array(f_sq.data()), np.array(f_sq.sigmas())
    z = (fo_sq - fc_sq) * np.sqrt(weight)
    found = np.abs(z) > limit
    order = [i for i in np.argsort(-np.abs(z), kind="stable") if found[i]]
    hkl = f_sq.indices()
    rows = tuple(
        Outlier(
            hkl=hkl[int(i)],
            fo_sq=float(fo_sq[i]),
            fc_sq=float(fc_sq[i]),
            sigma=float(sigma[i]),
            z=float(z[i]),
        )
        for i in order
    )
    return rows, found


def outlier_flags(outliers: tuple[Outlier, ...], f_sq: miller.array) -> np.ndarray:
    """
    Say which reflections are outliers, so that a refinement may hold them out.

    Args:
        outliers: Of a refinement against these intensities.
        f_sq: The intensities, n of them.

    Returns:
        Shape (n,).
    """
    found = {outlier.hkl for outlier in outliers}
    return np.array([tuple(hkl) in found for hkl in f_sq.indices()], dtype=bool)
