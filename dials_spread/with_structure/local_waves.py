"""
The wave of one observation among the beams that matter to it, and its derivative.

A whole orientation couples hundreds of beams. What one reflection does while it crosses
the Ewald sphere depends on some tens of them. With these alone, the wave is carried
through the crystal in thin slices,

    φ(t + Δ) = P B φ(t),   B = exp(iπ Δ U / K),   P_g = exp(2πi s_g Δ),

in which B is the same for all angles of a rocking curve, so that a slice costs one product
of small matrices (Strang (1968), SIAM J. Numer. Anal. 5, 506; the half steps of P at both
ends do not change intensities).

A slice of more than some 10 Å is not thin for beams that are far from the Ewald sphere. What
these do to others, by way of a beam n and back, Bethe's potentials tell: U_gn U_nh / (2 K s_n).
The sum over slices gives that times x / tan x, with x = π (s_g - s_n) Δ, so U between two beams
is multiplied by √(tan x / x) beforehand. Single scattering is summed over slices as it is in the
wave, and cancels. With both, slices of 35 Å are as good as those of 25 Å without
(docs/with_structure.rst).

The transposed recurrence from the exit back to the
entrance gives the derivative of the integrated intensity with respect to every element of
U at once, for any distribution of thickness.

Functions:
    for_slices: what U is multiplied by
    slice_operator: B
    exit_weights: which part of a crystal is how thick
    propagate: the wave behind every slice
    derivative: of an intensity with respect to U
    kinematic_part: what single scattering gives
"""

from __future__ import annotations

import numba as nb
import numpy as np

LARGEST_PHASE = 1.3
"""Of x: at π / 2 tan x has no bound, and beams so far off matter little."""


@nb.njit(cache=True, nogil=True)
def for_slices(s, step):
    """
    Give what makes up for the thickness of slices.

    Args:
        s: Shape (n,), excitation errors of beams [1/Å].
        step: Thickness of a slice [Å].

    Returns:
        Shape (n, n), factors of U; 1 where two beams are excited alike.
    """
    n = len(s)
    found = np.ones((n, n), np.float32)
    for j in range(n):
        for l in range(j):
            x = min(abs(np.pi * (s[j] - s[l]) * step), LARGEST_PHASE)
            if x > 1e-3:
                found[j, l] = found[l, j] = np.sqrt(np.tan(x) / x)
    return found


@nb.njit(cache=True, nogil=True)
def slice_operator(U, factor):
    """
    Give exp(i factor U).

    Args:
        U: Shape (n, n), Hermitian [1/Å²], of single precision.
        factor: π Δ / K [Å²].
    """
    # The exponential series to X⁸, in four products (Paterson & Stockmeyer (1973), SIAM J.
    # Comput. 2, 60); |π Δ U / K| is well below one.
    X = np.complex64(1j * factor) * U
    X2 = np.dot(X, X)
    X3, X4 = np.dot(X, X2), np.dot(X2, X2)
    low, high = X + X2 / np.float32(2) + X3 / np.float32(6), X / np.float32(120)
    high += X2 / np.float32(720) + X3 / np.float32(5040) + X4 / np.float32(40320)
    for j in range(len(U)):
        low[j, j] += np.float32(1)
        high[j, j] += np.float32(1 / 24)
    return low + np.dot(X4, high)


@nb.njit(cache=True, nogil=True)
def exit_weights(low, high, step, n_slices):
    """
    Give the part of a crystal that ends behind each slice.

    Args:
        low, high: Thicknesses, all between them of equal area [Å].
        step: Thickness of a slice [Å].
        n_slices: How many.

    Returns:
        Shape (n_slices + 1,), of sum 1; what is between two slices is shared linearly.
    """
    found = np.zeros(n_slices + 1)
    high = min(high, n_slices * step)
    low = min(low, high)
    if high - low < 1e-6 * step:
        cell = min(int(high / step), n_slices - 1)
        part = high / step - cell
        found[cell], found[cell + 1] = 1.0 - part, part
        return found
    for cell in range(int(low / step), n_slices):
        a = max(low, cell * step) / step - cell
        b = min(high, (cell + 1) * step) / step - cell
        if b <= a:
            break
        right = 0.5 * (b * b - a * a) * step / (high - low)
        found[cell + 1] += right
        found[cell] += (b - a) * step / (high - low) - right
    return found


@nb.njit(cache=True, nogil=True, fastmath=True)
def propagate(B, P, wave):
    """
    Carry the wave through the crystal.

    Args:
        B: Shape (n, n), from slice_operator.
        P: Shape (m, n), phases of a slice at m angles.
        wave: Shape (n_slices + 1, m, n), what is found is put in place; beam 0 is the
            direct one.
    """
    n_slices, m, n = len(wave) - 1, P.shape[0], P.shape[1]
    wave[0] = 0.0
    wave[0, :, 0] = 1.0
    BT = np.ascontiguousarray(B.T)
    # Real and imaginary parts in turn: products of complex numbers are slower.
    phase = P.reshape(m * n).view(np.float32)
    for q in range(n_slices):
        np.dot(wave[q], BT, wave[q + 1])
        now = wave[q + 1].reshape(m * n).view(np.float32)
        for i in range(0, len(phase), 2):
            a, b = now[i], now[i + 1]
            now[i] = a * phase[i] - b * phase[i + 1]
            now[i + 1] = a * phase[i + 1] + b * phase[i]


@nb.njit(cache=True, nogil=True, fastmath=True)
def derivative(B, P, wave, weight, target, factor, mu):
    """
    Differentiate L = Σ weight |φ_target|² with respect to U.

    Args:
        B, P: As for propagate.
        wave: From it.
        weight: Shape (m, n_slices + 1).
        target: A beam.
        factor: As for slice_operator. B changes by i factor (dU B + B dU) / 2, which is
            right to second order.
        mu: Shape (n_slices, m, n), room for waves that go back.

    Returns:
        Γ of shape (n, n): dL = Re Σ Γ_gh dU_gh.
    """
    n_slices, m, n = len(wave) - 1, P.shape[0], P.shape[1]
    back = np.zeros((m, n), np.complex64)
    phase = P.reshape(m * n).view(np.float32)
    parts = back.reshape(m * n).view(np.float32)
    for q in range(n_slices - 1, -1, -1):
        for i in range(m):
            back[i, target] += weight[i, q + 1] * np.conj(wave[q + 1, i, target])
        now = mu[q].reshape(m * n).view(np.float32)
        for i in range(0, len(phase), 2):
            a, b = parts[i], parts[i + 1]
            now[i] = a * phase[i] - b * phase[i + 1]
            now[i + 1] = a * phase[i + 1] + b * phase[i]
        np.dot(mu[q], B, back)
    flat = mu.reshape((n_slices * m, n))
    gamma = np.dot(flat.T, wave[:n_slices].reshape((n_slices * m, n)))
    BT = np.ascontiguousarray(B.T)
    return (np.dot(gamma, BT) + np.dot(BT, gamma)) * np.complex64(1j * factor)


@nb.njit(cache=True, nogil=True)
def kinematic_part(s, step, n_slices, K):
    """
    Give Σ over angles of what single scattering makes of |U|² = 1 Å⁻⁴ behind each slice.

    Args:
        s: Shape (m,), excitation errors [1/Å].
        step: Thickness of a slice [Å].
        n_slices: How many.
        K: Wave number [1/Å].

    Returns:
        Shape (n_slices + 1,) [Å⁴]: (π Δ / K)² sin²(q x) / sin² x with x = π s Δ, summed over
        slices as in propagate, which is (π t / K)² sinc² in thin ones.
    """
    found = np.zeros(n_slices + 1)
    once = (np.pi / K * step) ** 2
    for i in range(len(s)):
        # sin(q x) / sin x, Chebyshev's polynomials of the second kind.
        twice, before, now = 2 * np.cos(np.pi * s[i] * step), 0.0, 1.0
        for q in range(1, n_slices + 1):
            found[q] += once * now * now
            before, now = now, twice * now - before
    return found
