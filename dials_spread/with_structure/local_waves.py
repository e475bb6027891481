"""
The wave of one observation among the beams that matter to it, and its derivative.

A whole orientation couples hundreds of beams. What one reflection does while it crosses
the Ewald sphere depends on some tens of them. With these alone, the wave is carried
through the crystal in thin slices,

    φ(t + Δ) = P B φ(t),   B = exp(iπ Δ U / K),   P_g = exp(2πi s_g Δ),

in which B is the same for all angles of a rocking curve, so that a slice costs one product
of small matrices (Strang (1968), SIAM J. Numer. Anal. 5, 506; the half steps of P at both
ends do not change intensities). The transposed recurrence from the exit back to the
entrance gives the derivative of the integrated intensity with respect to every element of
U at once, for any distribution of thickness.

Functions:
    slice_operator: B
    exit_weights: which part of a crystal is how thick
    propagate: the wave behind every slice
    derivative: of an intensity with respect to U
    kinematic_part: what single scattering gives
"""

from __future__ import annotations

import numba as nb
import numpy as np

TERMS = 8
"""Of the exponential series; |π Δ U / K| is well below one."""


@nb.njit(cache=True, nogil=True)
def slice_operator(U, factor):
    """
    Give exp(i factor U).

    Args:
        U: Shape (n, n), Hermitian [1/Å²].
        factor: π Δ / K [Å²].
    """
    X = (1j * factor) * U.astype(np.complex128)
    term = np.eye(len(U)).astype(np.complex128)
    result = term.copy()
    for k in range(1, TERMS + 1):
        term = np.dot(term, X) / k
        result += term
    return result.astype(np.complex64)


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


@nb.njit(cache=True, nogil=True)
def propagate(B, P, n_slices):
    """
    Carry the wave through the crystal.

    Args:
        B: Shape (n, n), from slice_operator.
        P: Shape (m, n), phases of a slice at m angles.
        n_slices: How many.

    Returns:
        Shape (n_slices + 1, m, n); beam 0 is the direct one.
    """
    m, n = P.shape
    wave = np.zeros((n_slices + 1, m, n), np.complex64)
    wave[0, :, 0] = 1.0
    BT = np.ascontiguousarray(B.T)
    for q in range(n_slices):
        np.dot(wave[q], BT, wave[q + 1])
        for i in range(m):
            for j in range(n):
                wave[q + 1, i, j] *= P[i, j]
    return wave


@nb.njit(cache=True, nogil=True)
def derivative(B, P, wave, weight, target, factor):
    """
    Differentiate L = Σ weight |φ_target|² with respect to U.

    Args:
        B, P: As for propagate.
        wave: From it.
        weight: Shape (m, n_slices + 1).
        target: A beam.
        factor: As for slice_operator. B changes by i factor (dU B + B dU) / 2, which is
            right to second order.

    Returns:
        Γ of shape (n, n): dL = Re Σ Γ_gh dU_gh.
    """
    n_slices, m, n = len(wave) - 1, P.shape[0], P.shape[1]
    mu = np.zeros((n_slices, m, n), np.complex64)
    back = np.zeros((m, n), np.complex64)
    for q in range(n_slices - 1, -1, -1):
        for i in range(m):
            back[i, target] += weight[i, q + 1] * np.conj(wave[q + 1, i, target])
            for j in range(n):
                mu[q, i, j] = back[i, j] * P[i, j]
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
        Shape (n_slices + 1,) [Å⁴].
    """
    found = np.zeros(n_slices + 1)
    for q in range(n_slices + 1):
        t = q * step
        for i in range(len(s)):
            x = np.pi * s[i] * t
            sinc = np.sin(x) / x if abs(x) > 1e-9 else 1.0
            found[q] += (np.pi / K * t * sinc) ** 2
    return found
