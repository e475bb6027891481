"""
How strongly the crystal scatters, in absolute units, without its structure.

The mean |F|² of a cell is nearly that of any organic content of the same volume: 18 Å³
an atom that is not hydrogen, three quarters of them carbon (Kempster & Lipson (1972),
Acta Cryst. B28, 3674). Comparing the observed fall-off with it (Wilson (1942), Nature
150, 152) gives B and the scale, and with it the Fourier coefficients of the potential,
``U = γ F / (π V)``, which set how strongly waves couple.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.prepare.normalisation import Normalisation
from dials_spread.scattering.electrons import relativistic_mass_ratio
from dials_spread.scattering.form_factors import electron_form_factor

ATOM_VOLUME = 18.0
"""Volume an atom that is not hydrogen takes, its hydrogen included [Å³]."""

CONTENT = {"C": 0.75, "N": 0.12, "O": 0.13, "H": 0.8}
"""Atoms for each one that is not hydrogen."""

B_LIMITS = (0.0, 10.0)
"""Range of B [Å²]."""

LOW_RESOLUTION = 0.0625
"""Shells below this d*² [Å⁻²] (d > 4 Å) do not follow Wilson's line."""

LARGEST_E = 5.0
"""Normalised amplitudes count up to this."""


@dataclass(frozen=True)
class Interaction:
    """
    The strength of the interaction as a function of resolution.

    Attributes:
        B: Displacement parameter [Å²].
        misfit: Root mean square deviation of ln Σ from Wilson's line.
        n_shells: Shells that the line rests on.
        volume: Of the cell [Å³].
        gamma: Relativistic mass ratio.
        centring: Lattice points of a cell: of a centred cell the reflections that are
            present have that many times the mean intensity.
    """

    B: float
    misfit: float
    n_shells: int
    volume: float
    gamma: float
    centring: int = 1

    def U_rms(self, d_star_sq: np.ndarray, epsilon: np.ndarray | float = 1.0):
        """
        Give the root mean square potential coefficient.

        Args:
            d_star_sq: Any shape [Å⁻²].
            epsilon: Factor of the mean intensity from symmetry.

        Returns:
            [Å⁻²], the shape of d_star_sq.
        """
        d_star_sq = np.asarray(d_star_sq, dtype=float)
        mean = generic_intensity(d_star_sq, self.volume)
        mean = self.centring * epsilon * mean * np.exp(-self.B * d_star_sq / 2)
        return self.gamma / (np.pi * self.volume) * np.sqrt(mean)

    def as_dict(self) -> dict[str, float]:
        """Give what goes into a JSON file."""
        return {"B": self.B, "misfit": self.misfit, "n_shells": self.n_shells}


def generic_intensity(d_star_sq: np.ndarray, volume: float) -> np.ndarray:
    """
    Give the mean |F|² of a cell of generic organic content at rest.

    Args:
        d_star_sq: Any shape [Å⁻²].
        volume: Of the cell [Å³].

    Returns:
        [Å²]: V/18 Å³ times the mean f² of an atom with its hydrogen.
    """
    s = np.sqrt(np.asarray(d_star_sq, dtype=float)) / 2
    total = np.zeros_like(s)
    for element, number in CONTENT.items():
        total += number * electron_form_factor(element, 0, s) ** 2
    return volume / ATOM_VOLUME * total


def fit_interaction(
    normalisation: Normalisation, volume: float, wavelength: float, centring: int = 1
) -> Interaction:
    """
    Compare the fall-off of the mean intensity with that of a generic content.

    Args:
        normalisation: Mean intensities of shells, on any scale.
        volume: Of the cell [Å³].
        wavelength: [Å].
        centring: Lattice points of a cell.

    Returns:
        B within its limits, by least squares over shells of d < 4 Å weighted by their
        reflections; all shells where fewer than two are left.
    """
    x, weight = normalisation.shell_d_star_sq, normalisation.shell_n.astype(float)
    y = np.log(normalisation.shell_mean / generic_intensity(x, volume))
    used = x > LOW_RESOLUTION
    if used.sum() < 2:
        used = np.ones(len(x), dtype=bool)
    x, y, weight = x[used], y[used], weight[used]
    dx = x - np.average(x, weights=weight)
    spread = np.sum(weight * dx**2)
    slope = np.sum(weight * dx * y) / spread if spread > 0 else 0.0
    B = float(np.clip(-2 * slope, *B_LIMITS))
    residual = y + B * x / 2
    residual = residual - np.average(residual, weights=weight)
    misfit = float(np.sqrt(np.average(residual**2, weights=weight)))
    gamma = relativistic_mass_ratio(wavelength)
    return Interaction(B, misfit, len(x), float(volume), gamma, centring)


def potentials(E: np.ndarray, U_rms: np.ndarray) -> np.ndarray:
    """
    Give U = min(E, 5) U_rms [Å⁻²] from normalised amplitudes.

    Args:
        E: Any shape, dimensionless.
        U_rms: The same shape [Å⁻²].
    """
    return np.clip(E, 0.0, LARGEST_E) * U_rms
