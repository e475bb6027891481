"""
Weights of the SHELXL form.

    w = 1 / (σ²(Fo²) + (a P)² + b P),    P = (max(Fo², 0) + 2 Fc²) / 3,

with Fo² on the scale of Fc² (Sheldrick (2015), Acta Cryst. C71, 3; the form of P is from
Wilson (1976), Acta Cryst. A32, 994). a and b are such that the goodness of fit is near 1
in all ranges of Fc² and of resolution: electron intensities deviate from kinematic ones
by far more than σ, in proportion to the intensity, and weights 1/σ² would let the
strong reflections decide alone.

Functions:
    shelxl_weights: w
    suggest_weights: a and b
    ranges: of reflections, within which the goodness of fit is compared
"""

from __future__ import annotations

import numpy as np

# Ranges of Fc² and of resolution.
N_RANGES = 10

# Unevenness that is lower by no more than this part is not worth other weights.
HARDLY_BETTER = 0.005

# a is sought up to this, as in SHELXL. With more, weights would be nearly 1/P²: they depend
# on the model rather than on the data, and refinements do not come to rest.
LARGEST_A = 0.2


def shelxl_weights(
    fo_sq: np.ndarray,
    sigma: np.ndarray,
    fc_sq: np.ndarray,
    a: float,
    b: float,
) -> np.ndarray:
    """
    Weights of SHELXL's WGHT a b.

    Args:
        fo_sq: Shape (n,), on the scale of fc_sq.
        sigma: Shape (n,), of fo_sq.
        fc_sq: Shape (n,).
        a: Relative error that σ does not cover.
        b: [units of fc_sq].

    Returns:
        Shape (n,).
    """
    p = (np.maximum(fo_sq, 0) + 2 * fc_sq) / 3
    return 1 / (sigma**2 + (a * p) ** 2 + b * p)


def ranges(values: np.ndarray, n_ranges: int = N_RANGES) -> np.ndarray:
    """Number of the range in which a value lies, all equally filled; shape (n,)."""
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return rank * n_ranges // max(len(values), 1)


def suggest_weights(
    fo_sq: np.ndarray,
    sigma: np.ndarray,
    fc_sq: np.ndarray,
    d_star_sq: np.ndarray,
    n_parameters: int,
    current: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """
    Find a and b that make the goodness of fit flat.

    Args:
        fo_sq: Shape (n,), on the scale of fc_sq.
        sigma: Shape (n,), of fo_sq.
        fc_sq: Shape (n,).
        d_star_sq: Shape (n,), 1/d² [1/Å²].
        n_parameters: How many were refined.
        current: a and b that stay where others are hardly better, so that a refinement
            which renews its weights comes to rest.

    Returns:
        a and b that minimise Σ (goodness of fit - 1)² over ten ranges of Fc² and ten of
        resolution, from a search that narrows down on a grid.
    """
    n = len(fo_sq)
    used = min(N_RANGES, max(n // 10, 1))
    groups = [ranges(fc_sq, used), ranges(d_star_sq, used)]
    # What parameters took from the sum is missing in all ranges alike.
    inflated = n / max(n - n_parameters, 1)
    deviation = (fo_sq - fc_sq) ** 2 * inflated
    p = (np.maximum(fo_sq, 0) + 2 * fc_sq) / 3

    def unevenness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """For pairs of a and b; shape (pairs,)."""
        total = np.zeros(len(a))
        variance = sigma**2 + np.multiply.outer(a**2, p**2) + np.multiply.outer(b, p)
        chi_sq = deviation / variance
        for group in groups:
            counts = np.bincount(group, minlength=used)
            sums = np.array([np.bincount(group, row, used) for row in chi_sq])
            total += np.sum((np.sqrt(sums / counts) - 1) ** 2, axis=1)
        return total

    top_b = float(np.mean(p)) or 1.0
    grid_a = np.concatenate([[0.0], np.geomspace(1e-3, LARGEST_A, 16)])
    grid_b = np.concatenate([[0.0], top_b * np.geomspace(1e-5, 1.0, 11)])
    # Each grid reaches to the neighbours of the last one's best point.
    for finer in (1.4, 1.12, 1.03, 1.0):
        a, b = (x.ravel() for x in np.meshgrid(grid_a, grid_b))
        best = int(np.argmin(unevenness(a, b)))
        factors = finer ** np.arange(-4.0, 5.0)
        grid_a = np.minimum(np.append(a[best] * factors, 0.0), LARGEST_A)
        grid_b = np.append(b[best] * factors, 0.0)
    found = np.array([[a[best], b[best]], current or (a[best], b[best])])
    best, kept = unevenness(*found.T)
    if current is not None and kept <= best * (1 + HARDLY_BETTER) + 1e-12:
        return current
    return float(found[0, 0]), float(found[0, 1])
