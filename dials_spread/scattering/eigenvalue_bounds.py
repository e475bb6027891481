"""
Intervals in which the eigenvalues of matrices are that share their off-diagonal part.

Functions:
    extreme_eigenvalues: bounds of those of one matrix
    spectral_interval: holds all of them
    likely_interval: narrower, holds all that matter as a rule
"""

from __future__ import annotations

import numpy as np

LANCZOS_STEPS = 8
"""Of the bounds of eigenvalues; each takes as long as a third of a term."""

SHARE_OF_COUPLING = 0.3
"""
Of the extreme eigenvalues of the coupling, by which those of all are taken to be beyond
the ends of the diagonal. Beams with the largest excitation errors are few and couple
weakly with each other: of abiraterone a twentieth would do.
"""


def spectral_interval(
    coupling: np.ndarray, diagonal: np.ndarray, extremes: tuple[float, float]
) -> tuple[float, float]:
    """
    Centre and half width of an interval that holds all eigenvalues of all matrices.

    The sums of those of the diagonal and of the coupling (Weyl's inequality), or
    Gershgorin's circles where these are narrower. Both hold for principal submatrices,
    too. For organic crystals the sums are a seventh narrower, as signs of the coupling
    differ, and so many fewer terms are needed.

    Args:
        coupling: The shared Hermitian part, of shape (n, n).
        diagonal: The diagonals, of shape (n, m).
        extremes: Bounds of the eigenvalues of the coupling.
    """
    radii = np.sum(np.abs(coupling), axis=1)
    low = float(np.min(diagonal.min(axis=1) - radii))
    high = float(np.max(diagonal.max(axis=1) + radii))
    low = max(low, float(diagonal.min()) + extremes[0])
    high = min(high, float(diagonal.max()) + extremes[1])
    return 0.5 * (high + low), max(0.5 * (high - low), 1e-12)


def likely_interval(
    diagonal: np.ndarray, extremes: tuple[float, float]
) -> tuple[float, float]:
    """
    Centre and half width of an interval that will do, if no vector grows.

    Args:
        diagonal: The diagonals, of shape (n, m).
        extremes: Bounds of the eigenvalues of the coupling.
    """
    low = float(diagonal.min()) + SHARE_OF_COUPLING * extremes[0]
    high = float(diagonal.max()) + SHARE_OF_COUPLING * extremes[1]
    return 0.5 * (high + low), max(0.5 * (high - low), 1e-12)


def extreme_eigenvalues(matrix: np.ndarray) -> tuple[float, float]:
    """
    A lower and an upper bound of the eigenvalues of a Hermitian matrix.

    From a few steps of Lanczos: the extremes of the small matrix and the norm of what is
    left over (Zhou & Li (2011), Linear Algebra Appl. 435, 480).
    """
    n = len(matrix)
    # All beams are in it, and no symmetry hides an eigenvalue from it.
    vector = np.exp(1j * np.arange(n) ** 2) if np.iscomplexobj(matrix) else None
    vector = np.cos(np.arange(n) ** 2 + 0.5) if vector is None else vector
    vector = (vector / np.linalg.norm(vector)).astype(matrix.dtype)
    before, beta = np.zeros_like(vector), 0.0
    small = np.zeros((LANCZOS_STEPS, LANCZOS_STEPS))
    for k in range(LANCZOS_STEPS):
        after = matrix @ vector - beta * before
        small[k, k] = np.vdot(vector, after).real
        after -= small[k, k] * vector
        beta = float(np.linalg.norm(after))
        if k + 1 == LANCZOS_STEPS or beta <= 1e-6 * np.abs(small).max():
            break
        small[k, k + 1] = small[k + 1, k] = beta
        before, vector = vector, after / np.asarray(beta, dtype=vector.real.dtype)
    found = np.linalg.eigvalsh(small[: k + 1, : k + 1])
    return float(found[0]) - beta, float(found[-1]) + beta
