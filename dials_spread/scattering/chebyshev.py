"""
Propagation of the one wave that is needed, for many orientations at once.

Diagonalisation solves for every possible incident wave. The Chebyshev expansion
(Tal-Ezer & Kosloff (1984), J. Chem. Phys. 81, 3967) of exp(iπ A t / K) acts on a single
one, by products of A with vectors. Neighbouring orientations share the off-diagonal part
of A, so that the products for a block of them are one matrix-matrix product; all
thicknesses share the expansion vectors; and where A is real, so are they.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dct

# Expansion coefficients below these are dropped.
TOLERANCE = {"double": 1e-12, "single": 3e-7}

LANCZOS_STEPS = 8
"""Of each bound of eigenvalues; each takes as long as a third of a term."""

_REAL = {"double": np.float64, "single": np.float32}
_COMPLEX = {"double": np.complex128, "single": np.complex64}


def propagate(
    coupling: np.ndarray,
    s: np.ndarray,
    K: float,
    thicknesses: np.ndarray,
    active: np.ndarray | None = None,
    absorption: float = 0.0,
    mean_potential: float = 0.0,
    origin: int = 0,
    precision: str = "double",
) -> np.ndarray:
    """
    Amplitudes of all beams behind the crystal for a block of orientations.

    Args:
        coupling: U_{g-h} with a zero diagonal [1/Å²], of shape (n, n), Hermitian, or
            real and symmetric.
        s: Excitation errors [1/Å], of shape (n, m), m orientations.
        K: Wave number [1/Å].
        thicknesses: [Å], of shape (p,), or (p, m) where they differ between
            orientations.
        active: Which beams take part in which orientation, of shape (n, m); the
            direct beam must. All do without it.
        absorption: Imaginary potential over real potential, without approximation.
        mean_potential: U_0 [1/Å²], which only absorption needs.
        origin: Row of the direct beam.
        precision: "double" or "single".

    Returns:
        Complex amplitudes of shape (p, n, m), zero for beams that take no part.
    """
    times = np.pi / K * np.asarray(thicknesses, dtype=float)
    even, odd, centre = _expansion(
        coupling, 2.0 * K * s, times, active, absorption, origin, None, precision
    )
    factor = np.exp((1j * centre - absorption * mean_potential) * times)
    return (even + 1j * odd) * _over_beams(factor).astype(_COMPLEX[precision])


def beam_intensities(
    coupling: np.ndarray,
    s: np.ndarray,
    K: float,
    thicknesses: np.ndarray,
    active: np.ndarray,
    rows: np.ndarray,
    absorption: float = 0.0,
    mean_potential: float = 0.0,
    origin: int = 0,
    precision: str = "double",
) -> np.ndarray:
    """
    Intensities of some beams behind the crystal for a block of orientations.

    Args:
        rows: The rows of these beams, of shape (r,).
        coupling, s, K, thicknesses, active, absorption, mean_potential, origin,
        precision: As in `propagate`.

    Returns:
        Of shape (p, r, m), zero for beams that take no part.
    """
    times = np.pi / K * np.asarray(thicknesses, dtype=float)
    even, odd, _ = _expansion(
        coupling, 2.0 * K * s, times, active, absorption, origin, rows, precision
    )
    if np.isrealobj(even):
        result = np.square(even, out=even)
        result += np.square(odd, out=odd)
    else:
        result = (even.real - odd.imag) ** 2
        result += (even.imag + odd.real) ** 2
    if absorption:
        damping = np.exp(-2.0 * absorption * mean_potential * times)
        result = result * _over_beams(damping)
    return result


def spectral_interval(
    coupling: np.ndarray, diagonal: np.ndarray
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
    """
    radii = np.sum(np.abs(coupling), axis=1)
    low = float(np.min(diagonal.min(axis=1) - radii))
    high = float(np.max(diagonal.max(axis=1) + radii))
    of_coupling = _largest_eigenvalue(coupling)
    low = max(low, float(diagonal.min()) - of_coupling)
    high = min(high, float(diagonal.max()) + of_coupling)
    return 0.5 * (high + low), max(0.5 * (high - low), 1e-12)


def _largest_eigenvalue(matrix: np.ndarray) -> float:
    """
    An upper bound of the absolute eigenvalues of a Hermitian matrix.

    From a few steps of Lanczos: the largest of the small matrix and the norm of what is
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
    return float(np.abs(np.linalg.eigvalsh(small[: k + 1, : k + 1])).max()) + beta


def expansion_coefficients(
    times: np.ndarray, radius: float, tolerance: float = TOLERANCE["double"]
) -> np.ndarray:
    """
    Coefficients of exp(i t x) in Chebyshev polynomials of x / radius.

    They are (2 - δ_k0) i^k J_k(t radius), which decay faster than exponentially once k
    exceeds the argument. A cosine transform of the function gives all of them in the
    time that a few Bessel functions take.

    Args:
        times: Real t, of any shape.
        radius: Half width of the interval of x.
        tolerance: Coefficients below it are dropped.

    Returns:
        Complex, of shape (..., terms): real where k is even, imaginary where it is odd.
    """
    z = np.asarray(times, dtype=float) * radius
    z_max = float(np.max(z))
    n_terms = int(z_max + 12.0 * np.cbrt(z_max) + 20)
    nodes = np.cos(np.pi * (np.arange(n_terms) + 0.5) / n_terms)
    coefficients = dct(np.exp(1j * z[..., None] * nodes), norm="forward", axis=-1)
    coefficients[..., 1:] *= 2.0
    largest = np.max(np.abs(coefficients.reshape(-1, n_terms)), axis=0)
    return coefficients[..., : np.flatnonzero(largest > tolerance)[-1] + 1]


def _expansion(
    coupling: np.ndarray,
    diagonal: np.ndarray,
    times: np.ndarray,
    active: np.ndarray | None,
    absorption: float,
    origin: int,
    rows: np.ndarray | None,
    precision: str,
) -> tuple[np.ndarray, np.ndarray, float]:
    """
    The sums over even and over odd terms, apart: of real vectors, they are real.

    Returns:
        E and O of shape (p, r, m), and c: ψ = (E + iO) exp(ict), less the mean
        absorption.
    """
    real = _REAL[precision]
    rows = np.arange(len(diagonal)) if rows is None else rows
    active = np.ones(diagonal.shape, dtype=bool) if active is None else active
    diagonal = np.where(active, diagonal, 0.0)
    centre, radius = spectral_interval(coupling, diagonal)
    coefficients = expansion_coefficients(times, radius, TOLERANCE[precision])
    kind = real if np.isrealobj(coupling) and not absorption else _COMPLEX[precision]
    factor = 2.0 / radius * np.asarray(1.0 + 1j * absorption if absorption else 1.0)
    vectors = _expansion_vectors(
        coupling.astype(kind, copy=False) * factor.astype(kind),
        np.where(active, (diagonal - centre) * (2.0 / radius), 0.0).astype(real),
        active.astype(real),
        coefficients.shape[-1],
        origin,
        rows,
    )
    parts = (coefficients.real[..., ::2], coefficients.imag[..., 1::2])
    even, odd = (
        _weighted_sum(part.astype(real), vectors[i::2]) for i, part in enumerate(parts)
    )
    return even, odd, centre


def _expansion_vectors(
    matrix: np.ndarray,
    diagonal: np.ndarray,
    mask: np.ndarray,
    n_terms: int,
    origin: int,
    rows: np.ndarray,
) -> np.ndarray:
    """
    T_k(X) applied to the direct beam, where matrix and diagonal make up 2X.

    The vectors are rows here, which the matrix product is faster with.

    Returns:
        The beams asked for, of shape (n_terms, m, r), real where the matrix is.
    """
    diagonal = np.ascontiguousarray(diagonal.T)
    mask = np.ascontiguousarray(mask.T)
    if np.iscomplexobj(matrix):
        return _complex_vectors(matrix, diagonal, mask, n_terms, origin, rows)
    transposed = np.ascontiguousarray(matrix.T)
    before, last, after, product = np.zeros((4, *diagonal.shape), dtype=matrix.dtype)
    kept = np.empty((n_terms, len(diagonal), len(rows)), dtype=matrix.dtype)
    last[:, origin] = 1.0
    kept[0] = last[:, rows]
    for k in range(1, n_terms):
        np.matmul(last, transposed, out=after)
        after += np.multiply(diagonal, last, out=product)
        after *= mask
        if k == 1:
            after *= 0.5
        else:
            after -= before
        before, last, after = last, after, before
        # Any mode but the default one, which makes a copy.
        np.take(last, rows, axis=1, out=kept[k], mode="clip")
    return kept


def _complex_vectors(
    matrix: np.ndarray,
    diagonal: np.ndarray,
    mask: np.ndarray,
    n_terms: int,
    origin: int,
    rows: np.ndarray,
) -> np.ndarray:
    """
    As _expansion_vectors, by three products of real matrices in the place of four;
    diagonal and mask are rows already.

    (a + ib)(P + iQ) from aP, bQ and (a + b)(P + Q) (Knuth (1997), The Art of Computer
    Programming 2, section 4.6.4).
    """
    real = matrix.real.dtype
    parts = np.empty((3, *matrix.shape), dtype=real)
    parts[0], parts[1] = matrix.real.T, matrix.imag.T
    np.add(parts[0], parts[1], out=parts[2])
    # Real and imaginary part, and in the third place their sum.
    before, last, after = np.zeros((3, 3, *diagonal.shape), dtype=real)
    product = np.empty((2, *diagonal.shape), dtype=real)
    kept = np.empty((2, n_terms, len(diagonal), len(rows)), dtype=real)
    last[::2, :, origin] = 1.0
    kept[:, 0] = last[:2][..., rows]
    for k in range(1, n_terms):
        np.matmul(last, parts, out=after)
        after[2] -= after[0]
        after[2] -= after[1]
        after[0] -= after[1]
        after[1] = after[2]
        both = after[:2]
        both += np.multiply(diagonal, last[:2], out=product)
        both *= mask
        if k == 1:
            both *= 0.5
        else:
            both -= before[:2]
        np.add(after[0], after[1], out=after[2])
        before, last, after = last, after, before
        # Any mode but the default one, which makes a copy.
        np.take(last[:2], rows, axis=2, out=kept[:, k], mode="clip")
    found = np.empty(kept.shape[1:], dtype=matrix.dtype)
    found.real, found.imag = kept
    return found


def _weighted_sum(weights: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """
    Σ_k weights_pk vectors_k by products of real matrices.

    Args:
        weights: Real, of shape (p, k), or (p, m, k) where orientations differ.
        vectors: Real or complex, of shape (k, m, r).

    Returns:
        Of shape (p, r, m).
    """
    n_terms, m, r = vectors.shape
    vectors = np.ascontiguousarray(vectors)
    if weights.ndim == 2:
        flat = vectors.reshape(n_terms, -1).view(weights.dtype)
        total = (weights @ flat).view(vectors.dtype).reshape(-1, m, r)
    else:
        columns = np.ascontiguousarray(np.swapaxes(vectors, 0, 1))
        product = np.swapaxes(weights, 0, 1) @ columns.view(weights.dtype)
        total = np.swapaxes(product.view(vectors.dtype), 0, 1)
    return np.swapaxes(total, 1, 2)


def _over_beams(factors: np.ndarray) -> np.ndarray:
    """Factors of shape (p,) or (p, m), to be multiplied with (p, r, m)."""
    return factors[:, None, None] if factors.ndim == 1 else factors[:, None, :]
