"""
Propagation of the one wave that is needed, for many orientations at once.

Diagonalisation solves for every possible incident wave. The Chebyshev expansion
(Tal-Ezer & Kosloff (1984), J. Chem. Phys. 81, 3967) of exp(iπ A t / K) acts on a single
one, by products of A with vectors. Neighbouring orientations share the off-diagonal part
of A, so that the products for a block of them are one matrix-matrix product; and all
thicknesses share the expansion vectors.
"""

from __future__ import annotations

import numpy as np
from scipy.special import jv

# Expansion coefficients below this are dropped.
TOLERANCE = 1e-12


def propagate(
    coupling: np.ndarray,
    s: np.ndarray,
    K: float,
    thicknesses: np.ndarray,
    active: np.ndarray | None = None,
    absorption: float = 0.0,
    mean_potential: float = 0.0,
    origin: int = 0,
) -> np.ndarray:
    """
    Amplitudes of all beams behind the crystal for a block of orientations.

    Args:
        coupling: U_{g-h} with a zero diagonal [1/Å²], of shape (n, n), Hermitian, or
            real and symmetric.
        s: Excitation errors [1/Å], of shape (n, m), m orientations.
        K: Wave number [1/Å].
        thicknesses: [Å], of shape (p,).
        active: Which beams take part in which orientation, of shape (n, m); the
            direct beam must. All do without it.
        absorption: Imaginary potential over real potential, without approximation.
        mean_potential: U_0 [1/Å²], which only absorption needs.
        origin: Row of the direct beam.

    Returns:
        Complex amplitudes of shape (p, n, m), zero for beams that take no part.
    """
    if active is None:
        active = np.ones(s.shape, dtype=bool)
    diagonal = np.where(active, 2.0 * K * s, 0.0)
    centre, radius = spectral_interval(coupling, diagonal)
    coefficients = expansion_coefficients(np.pi / K * np.asarray(thicknesses), radius)
    matrix = coupling * (2.0 / radius)
    scaled = np.where(active, (diagonal - centre) * (2.0 / radius), 0.0)
    if absorption:
        matrix = matrix * (1.0 + 1j * absorption)
        scaled = scaled + 2j / radius * absorption * mean_potential
    vectors = _expansion_vectors(matrix, scaled, active, len(coefficients[0]), origin)
    phase = np.exp(1j * np.pi / K * centre * np.asarray(thicknesses))
    flat = vectors.reshape(len(vectors), -1)
    return ((coefficients * phase[:, None]) @ flat).reshape(-1, *s.shape)


def spectral_interval(
    coupling: np.ndarray, diagonal: np.ndarray
) -> tuple[float, float]:
    """
    Centre and half width of an interval that holds all eigenvalues of all matrices.

    By Weyl's inequality the eigenvalues of a sum lie between the sums of the extreme
    ones, and those of a principal submatrix within those of the matrix.

    Args:
        coupling: The shared Hermitian part, of shape (n, n).
        diagonal: The diagonals, of shape (n, m).
    """
    extremes = np.linalg.eigvalsh(coupling)[[0, -1]]
    low, high = diagonal.min() + extremes[0], diagonal.max() + extremes[1]
    return 0.5 * (high + low), max(0.5 * (high - low), 1e-12)


def expansion_coefficients(times: np.ndarray, radius: float) -> np.ndarray:
    """
    Coefficients of exp(i t x) in Chebyshev polynomials of x / radius.

    Args:
        times: Real t, of shape (p,).
        radius: Half width of the interval of x.

    Returns:
        (2 - δ_k0) i^k J_k(t radius), of shape (p, terms); J_k decays faster than
        exponentially once k exceeds its argument.
    """
    z = np.asarray(times, dtype=float)[:, None] * radius
    z_max = float(np.max(z))
    k = np.arange(int(z_max + 12.0 * np.cbrt(z_max) + 20))
    bessel = jv(k, z)
    last = np.flatnonzero(np.max(np.abs(bessel), axis=0) > TOLERANCE)[-1]
    k, bessel = k[: last + 1], bessel[:, : last + 1]
    return np.where(k == 0, 1.0, 2.0) * 1j ** (k % 4) * bessel


def _expansion_vectors(
    matrix: np.ndarray,
    diagonal: np.ndarray,
    active: np.ndarray,
    n_terms: int,
    origin: int,
) -> np.ndarray:
    """
    T_k(X) applied to the direct beam, where matrix and diagonal make up 2X.

    Returns:
        Of shape (n_terms, n, m), real where the matrix is.
    """
    kind = np.result_type(matrix, diagonal)
    vectors = np.zeros((n_terms, *diagonal.shape), dtype=kind)
    vectors[0, origin] = 1.0
    mask = active.astype(float)
    for k in range(1, n_terms):
        twice_x = matrix @ vectors[k - 1]
        twice_x += diagonal * vectors[k - 1]
        twice_x *= mask
        if k == 1:
            np.multiply(twice_x, 0.5, out=vectors[k])
        else:
            np.subtract(twice_x, vectors[k - 2], out=vectors[k])
    return vectors
