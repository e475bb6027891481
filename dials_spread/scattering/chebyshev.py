"""
Propagation of the one wave that is needed, for many orientations at once.

Diagonalisation solves for every possible incident wave. The Chebyshev expansion
(Tal-Ezer & Kosloff (1984), J. Chem. Phys. 81, 3967) of exp(iπ A t / K) acts on a single
one, by products of A with vectors. Neighbouring orientations share the off-diagonal part
of A, so that the products for a block of them are one matrix-matrix product; all
thicknesses share the expansion vectors; and where A is real, so are they.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from scipy.fft import dct

from dials_spread.scattering.bloch import amplitudes_with_absorption
from dials_spread.scattering.eigenvalue_bounds import (
    extreme_eigenvalues,
    likely_interval,
    spectral_interval,
)

GROUP = 4
"""
Orientations whose vectors are multiplied together, with the beams that any of them needs:
of sixteen that share the off-diagonal part each needs two thirds of the beams. Fewer at a
time would need still fewer beams, in products that processors are slower with.
"""

# Expansion coefficients below these are dropped.
TOLERANCE = {"double": 1e-12, "single": 1e-6}

GROWTH = 2.0
"""
Norm of the last vector (of the first: 1) above which a wider interval is taken instead.
Within the interval no vector is longer than the first. Beyond it they grow, but up to
here the terms that are left out are still no more than twice the tolerance.
"""

MOST_GROWTH = 1e6
"""
The same in the wide interval, with absorption: above it rounding errors, which grow as
well, may reach what single precision leaves without absorption, and each orientation is
diagonalised.
"""

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
        coupling, 2.0 * K * s, times, active, absorption, mean_potential, origin, None,
        precision,
    )  # fmt: skip
    factor = np.exp(1j * centre * times)
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
        coupling, 2.0 * K * s, times, active, absorption, mean_potential, origin, rows,
        precision,
    )  # fmt: skip
    if np.isrealobj(even):
        result = np.square(even, out=even)
        result += np.square(odd, out=odd)
    else:
        result = (even.real - odd.imag) ** 2
        result += (even.imag + odd.real) ** 2
    return result


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
    mean_potential: float,
    origin: int,
    rows: np.ndarray | None,
    precision: str,
) -> tuple[np.ndarray, np.ndarray, float]:
    """
    The sums over even and over odd terms, apart: of real vectors, they are real.

    Returns:
        E and O of shape (p, r, m), and c: ψ = (E + iO) exp(ict).
    """
    real = _REAL[precision]
    rows = np.arange(len(diagonal)) if rows is None else rows
    active = np.ones(diagonal.shape, dtype=bool) if active is None else active
    diagonal = np.where(active, diagonal, 0.0)
    kind = real if np.isrealobj(coupling) and not absorption else _COMPLEX[precision]
    extremes = extreme_eigenvalues(coupling)
    mean, half = 0.5 * (extremes[1] + extremes[0]), 0.5 * (extremes[1] - extremes[0])
    # Vectors may become longer by absorption that is less than its mean.
    grown = min(absorption * half * float(np.max(times)), np.log(MOST_GROWTH / GROWTH))
    matrix = _less_mean_absorption(coupling, absorption, mean)
    for safe in (False, True):
        centre, radius = (
            spectral_interval(coupling, diagonal, extremes)
            if safe
            else likely_interval(diagonal, extremes)
        )
        coefficients = expansion_coefficients(times, radius, TOLERANCE[precision])
        factor = 2.0 / radius * np.asarray(1.0 + 1j * absorption if absorption else 1.0)
        vectors, growth = _expansion_vectors(
            np.asarray(matrix, dtype=kind, order="C"),
            factor.astype(kind)[()],
            np.where(active, (diagonal - centre) * (2.0 / radius), 0.0).astype(real),
            active,
            coefficients.shape[-1],
            origin,
            rows,
        )
        if growth <= GROWTH * np.exp(grown):
            break
    if absorption and growth > MOST_GROWTH:
        psi = amplitudes_with_absorption(
            coupling, diagonal, times, active, absorption, mean_potential, origin, rows
        )
        return psi, np.zeros_like(psi), 0.0
    if absorption:
        damping = np.exp(-absorption * (mean_potential + mean) * times)
        coefficients = coefficients * damping[..., None]
    parts = (coefficients.real[..., ::2], coefficients.imag[..., 1::2])
    even, odd = (
        _weighted_sum(part.astype(real), vectors[i::2]) for i, part in enumerate(parts)
    )
    return even, odd, centre


def _less_mean_absorption(
    coupling: np.ndarray, absorption: float, mean: float
) -> np.ndarray:
    """
    The coupling U with a diagonal that makes (1 + iη)U to that less iη times a mean.

    Bloch waves at atoms are absorbed far more than those between them. Of the whole
    absorption vectors would grow as the one decays, and nothing would be left of the
    other but rounding errors; about the mean of the largest and the smallest, those that
    are absorbed least grow most, and stay as exact as without absorption.

    Args:
        coupling: Hermitian, with a zero diagonal, of shape (n, n).
        absorption: η.
        mean: Of its extreme eigenvalues [1/Å²].
    """
    if not absorption:
        return coupling
    result = coupling.astype(np.result_type(coupling, np.complex64))
    # Conjugated, as it is taken for the transpose of a Hermitian matrix.
    np.fill_diagonal(result, np.conj(-1j * absorption * mean / (1.0 + 1j * absorption)))
    return result


def _expansion_vectors(
    coupling: np.ndarray,
    factor: np.ndarray,
    diagonal: np.ndarray,
    active: np.ndarray,
    n_terms: int,
    origin: int,
    rows: np.ndarray,
) -> tuple[np.ndarray, float]:
    """
    T_k(X) applied to the direct beam, where off-diagonal part and diagonal make up 2X.

    Args:
        coupling: Hermitian, of shape (n, n).
        factor: A number, by which it is multiplied to be the off-diagonal part.
        diagonal: Of shape (n, m).
        active: Which beams take part in which orientation, of shape (n, m).
        n_terms: How many k.
        origin: Row of the direct beam.
        rows: The beams asked for, of shape (r,).

    Returns:
        These, of shape (n_terms, m, r), real where the matrix is; zero where a beam takes
        no part. The largest norm of the last vector of any orientation.
    """
    found = np.zeros((n_terms, diagonal.shape[1], len(rows)), dtype=coupling.dtype)
    # Real and imaginary part of a complex number are neighbours in memory.
    numbers = found.view(diagonal.dtype).reshape(*found.shape, -1)
    growth = 0.0
    for first in range(0, diagonal.shape[1], GROUP):
        columns = slice(first, first + GROUP)
        used = np.flatnonzero(np.any(active[:, columns], axis=1))
        places = np.full(len(diagonal), -1)
        places[used] = np.arange(len(used))
        real = np.isrealobj(coupling)
        squared = _multiply_in_turn(
            (_real_part if real else _three_parts)(coupling, used, factor),
            np.ascontiguousarray(diagonal[used, columns].T),
            np.ascontiguousarray(active[used, columns].T.astype(diagonal.dtype)),
            places[origin],
            places[rows],
            numbers[:, columns],
        )
        growth = max(growth, float(np.sqrt(squared)))
    return found, growth


@nb.njit(cache=True, nogil=True)
def _real_part(matrix, used, factor):
    """Give the rows and columns in use of a symmetric matrix, of shape (1, n, n)."""
    result = np.empty((1, len(used), len(used)), dtype=matrix.dtype)
    for i in range(len(used)):
        row, to = matrix[used[i]], result[0, i]
        for j in range(len(used)):
            to[j] = factor * row[used[j]]
    return result


@nb.njit(cache=True, nogil=True)
def _three_parts(matrix, used, factor):
    """
    Give real part, imaginary part and their sum, of the rows and columns in use.

    They are those of the transpose, which is the complex conjugate.
    """
    result = np.empty((3, len(used), len(used)), dtype=matrix.real.dtype)
    for i in range(len(used)):
        row = matrix[used[i]]
        real, imaginary, both = result[0, i], result[1, i], result[2, i]
        for j in range(len(used)):
            number = row[used[j]].conjugate() * factor
            real[j] = number.real
            imaginary[j] = number.imag
        for j in range(len(used)):
            both[j] = real[j] + imaginary[j]
    return result


@nb.njit(cache=True, nogil=True)
def _multiply_in_turn(parts, diagonal, active, origin, rows, kept):
    """
    Fill in T_k(X) applied to the direct beam, for orientations with the same beams.

    The vectors are rows here, which the matrix product is faster with. Complex ones take
    three products of real matrices in the place of four: (a + ib)(P + iQ) from aP, bQ and
    (a + b)(P + Q) (Knuth (1997), The Art of Computer Programming 2, section 4.6.4).

    Args:
        parts: The off-diagonal part of 2X, transposed, of shape (1, n, n) where it is
            real, else its real and imaginary part and their sum.
        diagonal: Of 2X, of shape (m, n).
        active: 1 or 0, of shape (m, n).
        origin: Row of the direct beam.
        rows: The beams asked for, of shape (r,); those below zero are left out.
        kept: Written to, of shape (terms, m, r, 1 or 2).

    Returns:
        The largest squared norm of the last vector, infinite where it is no number.
    """
    q, (m, n) = len(parts), diagonal.shape
    # Real part, imaginary part and their sum.
    before = np.zeros((q, m, n), dtype=parts.dtype)
    last, after = np.zeros_like(before), np.zeros_like(before)
    last[0, :, origin] = last[q - 1, :, origin] = 1.0
    diagonal, active = diagonal.ravel(), active.ravel()
    for k in range(len(kept)):
        for j in range(m):
            for c in range(kept.shape[3]):
                _keep(last[c, j], rows, kept[k, j, :, c])
        if k + 1 == len(kept):
            break
        for c in range(q):
            np.dot(last[c], parts[c], after[c])
        real = after[0].ravel()
        if q == 3:
            product, imaginary = after[1].ravel(), after[2].ravel()
            _add(imaginary, real, -1.0)
            _add(imaginary, product, -1.0)
            _add(real, product, -1.0)
            _finish(imaginary, diagonal, last[1].ravel(), active, before[1].ravel(), k)
        _finish(real, diagonal, last[0].ravel(), active, before[0].ravel(), k)
        if q == 3:
            _copy(imaginary, product)
            _add(imaginary, real, 1.0)
        before, last, after = last, after, before
    largest = 0.0
    for j in range(m):
        squared = 0.0
        for c in range(kept.shape[3]):
            for x in last[c, j]:
                squared += x * x
        if not squared <= largest:
            # No number must not be forgotten for the next, of which nothing is larger.
            largest = squared if squared == squared else np.inf
    return largest


@nb.njit(cache=True, nogil=True)
def _keep(vector, rows, kept):
    for i in range(len(rows)):
        if rows[i] >= 0:
            kept[i] = vector[rows[i]]


# Loops over few arrays: of more of them compilers do not prove that they are apart, and
# then take one number at a time.
@nb.njit(cache=True, nogil=True)
def _add(a, b, times):
    factor = a.dtype.type(times)
    for i in range(len(a)):
        a[i] += factor * b[i]


@nb.njit(cache=True, nogil=True)
def _copy(a, b):
    for i in range(len(a)):
        b[i] = a[i]


@nb.njit(cache=True, nogil=True)
def _finish(product, diagonal, last, active, before, k):
    """The next term from the product; the first is half of what the others would be."""
    for i in range(len(product)):
        product[i] += diagonal[i] * last[i]
    if k == 0:
        half = product.dtype.type(0.5)
        for i in range(len(product)):
            product[i] *= half
    for i in range(len(product)):
        product[i] = product[i] * active[i] - before[i]


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
