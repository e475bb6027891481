"""
N-beam Bloch waves for one orientation: definitions, and the solution by diagonalisation.

In the forward-scattering approximation the amplitudes of the beams obey
dψ/dt = (iπ/K) A ψ, with A_gg = 2 K s_g and A_gh = U_{g-h}; it follows from the wave
equation (∇² + 4π²K² + 4π²U) Ψ = 0 for Ψ = Σ ψ_g(z) exp(2πi (K + g)·r) when ψ'' and g_z
are dropped beside K. Hence ψ(t) = exp(iπ A t / K) ψ(0), which the eigenvalues a and
eigenvectors C of A give for every thickness: ψ_g(t) = Σ_j C_gj exp(iπ a_j t / K) C*_0j
(Humphreys (1979), Rep. Prog. Phys. 42, 1825; Spence & Zuo (1992), chapter 3).
"""

from __future__ import annotations

import numpy as np


def excitation_errors(g: np.ndarray, k: np.ndarray) -> np.ndarray:
    """
    s_g = (K² - |k + g|²) / (2K), positive inside the Ewald sphere.

    Args:
        g: Reciprocal-lattice vectors [1/Å], of shape (n, 3).
        k: Incident wave vectors of one length K [1/Å], in the same frame, of shape
            (m, 3).

    Returns:
        s [1/Å], of shape (n, m).
    """
    K = np.linalg.norm(k[0])
    return -(g @ k.T) / K - np.sum(g**2, axis=1)[:, None] / (2 * K)


def structure_matrix(coupling: np.ndarray, s: np.ndarray, K: float) -> np.ndarray:
    """
    The matrix A.

    Args:
        coupling: U_{g-h} with a zero diagonal [1/Å²], of shape (n, n).
        s: Excitation errors [1/Å], of shape (n,).
        K: Wave number [1/Å].
    """
    return coupling + np.diag(2.0 * K * s)


def bloch_amplitudes(
    coupling: np.ndarray,
    s: np.ndarray,
    K: float,
    thicknesses: np.ndarray,
    absorption: float = 0.0,
    mean_potential: float = 0.0,
    origin: int = 0,
) -> np.ndarray:
    """
    Amplitudes of all beams behind the crystal, by diagonalisation.

    Args:
        coupling: U_{g-h} with a zero diagonal [1/Å²], of shape (n, n); a real matrix
            takes the faster symmetric path.
        s: Excitation errors [1/Å], of shape (n,).
        K: Wave number [1/Å].
        thicknesses: [Å], of shape (m,).
        absorption: Imaginary potential over real potential, in first order
            (Hirsch et al. (1977), Electron Microscopy of Thin Crystals, section 9.3).
        mean_potential: U_0 [1/Å²], which only absorption needs.
        origin: Row of the direct beam.

    Returns:
        Complex amplitudes of shape (m, n).
    """
    A = structure_matrix(coupling, s, K)
    eigenvalues, C = np.linalg.eigh(A)
    if absorption:
        # The expectation of U in each Bloch wave, that of A less its diagonal part.
        of_diagonal = 2.0 * K * (s @ np.abs(C) ** 2)
        damping = absorption * (eigenvalues - of_diagonal + mean_potential)
        eigenvalues = eigenvalues + 1j * damping
    phases = np.exp(1j * np.pi / K * np.outer(thicknesses, eigenvalues))
    return (phases * np.conj(C[origin])) @ C.T


def amplitudes_with_absorption(
    coupling: np.ndarray,
    diagonal: np.ndarray,
    times: np.ndarray,
    active: np.ndarray,
    absorption: float,
    mean_potential: float,
    origin: int,
    rows: np.ndarray,
) -> np.ndarray:
    """
    Amplitudes of some beams for several orientations, absorption without approximation.

    By the eigenvectors of a matrix that is not Hermitian.

    Args:
        coupling: U_{g-h} with a zero diagonal [1/Å²], of shape (n, n).
        diagonal: 2 K s [1/Å²], of shape (n, m), m orientations.
        times: π t / K [Å²], of shape (p,), or (p, m) where they differ.
        active: Which beams take part in which orientation, of shape (n, m).
        absorption: Imaginary potential over real potential.
        mean_potential: U_0 [1/Å²].
        origin: Row of the direct beam.
        rows: The beams asked for, of shape (r,).

    Returns:
        Complex, of shape (p, r, m), zero for beams that take no part.
    """
    result = np.zeros((len(times), *diagonal.shape), dtype=complex)
    for column, on in enumerate(active.T):
        A = (1.0 + 1j * absorption) * coupling[np.ix_(on, on)].astype(complex)
        A += np.diag(diagonal[on, column] + 1j * absorption * mean_potential)
        eigenvalues, C = np.linalg.eig(A)
        incident = np.zeros(len(A))
        incident[np.count_nonzero(on[:origin])] = 1.0
        excited = np.linalg.solve(C, incident)
        t = times if times.ndim == 1 else times[:, column]
        result[:, on, column] = (np.exp(1j * np.outer(t, eigenvalues)) * excited) @ C.T
    return result[:, rows]


def kinematic_intensity(s: np.ndarray, thickness: np.ndarray, K: float) -> np.ndarray:
    """
    The kinematic intensity of a beam for |U_g| = 1 per square angstrom.

    (π / K)² (sin(π s t) / (π s))², the first-order term of the series for ψ(t).

    Args:
        s: Excitation errors [1/Å].
        thickness: [Å], to be broadcast against s.
        K: Wave number [1/Å].
    """
    return (np.pi / K * thickness * np.sinc(s * thickness)) ** 2
