"""
What a reflection is expected to have: the mean intensity at its resolution, on the scale
of the data and in absolute units.

``Σ(s)`` is the mean of the merged intensity over ε in shells of resolution, smoothed and
interpolated log-linearly in d*²; ``N = ε Σ``. Observed and merged amplitudes are then
``E_i = sign(I) √|I/N|`` and ``E_k = √(max(I_m, 0)/N)``, and ⟨E²⟩ = 1. The observed
fall-off is kept as it is; no Wilson line is forced on it.

In absolute units, without the structure: the mean |F|² of a cell is nearly that of any
organic content of the same volume: 18 Å³ an atom that is not hydrogen, three quarters of
them carbon (Kempster & Lipson (1972), Acta Cryst. B28, 3674). Comparing the observed
fall-off with it (Wilson (1942), Nature 150, 152) gives B and the scale, and with it the
Fourier coefficients of the potential, ``U = γ F / (π V)``, which set how strongly waves
couple.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.scattering.electrons import relativistic_mass_ratio
from dials_spread.scattering.form_factors import electron_form_factor

PER_SHELL = 70
"""Unique reflections of a shell."""

FEWEST_SHELLS = 3

FLOOR = 1e-3
"""Least mean of a shell, relative to the mean of all."""

SMOOTHING = np.array([0.25, 0.5, 0.25])

ATOM_VOLUME = 18.0
"""Volume an atom that is not hydrogen takes, its hydrogen included [Å³]."""

CONTENT = {"C": 0.75, "N": 0.12, "O": 0.13, "H": 0.8}
"""Atoms for each one that is not hydrogen."""

B_LIMITS = (0.0, 10.0)
"""Range of B [Å²]."""

LOW_RESOLUTION = 0.0625
"""Shells below this d*² [Å⁻²] (d > 4 Å) do not follow Wilson's line."""

LEAST_E = 0.3
"""Amplitude below which σ(E) is no longer σ(I)/(2 E)."""

LARGEST_E = 5.0
"""Normalised amplitudes count up to this."""


@dataclass(frozen=True)
class Normalisation:
    """
    The mean intensity of every unique reflection.

    Attributes:
        N: Shape (u,), expected intensity ε Σ(s), in the unit of the intensities.
        sigma_s: Shape (u,), Σ(s) itself.
        shell_d_star_sq: Shape (shells,) [Å⁻²], increasing.
        shell_mean: Shape (shells,), Σ there.
        shell_n: Shape (shells,), unique reflections that each rests on.
    """

    N: np.ndarray
    sigma_s: np.ndarray
    shell_d_star_sq: np.ndarray
    shell_mean: np.ndarray
    shell_n: np.ndarray


def normalise(
    merged: np.ndarray, d_star_sq: np.ndarray, epsilon: np.ndarray
) -> Normalisation:
    """
    Find the mean intensity as a function of resolution.

    Args:
        merged: Shape (u,), merged intensities.
        d_star_sq: Shape (u,) [Å⁻²].
        epsilon: Shape (u,), factor of the mean intensity from symmetry.

    Returns:
        N of every reflection, such that the mean of merged / N is 1; the quotient of their
        means, where noise made that mean negative.

    Raises:
        ValueError: The mean intensity is not positive.

    Source: Karle & Hauptman (1956), Acta Cryst. 9, 635; Wilson (1949), Acta Cryst. 2,
    318.
    """
    reduced = merged / epsilon
    if not len(merged) or not reduced.mean() > 0:
        raise ValueError(
            f"The mean of {len(merged)} merged intensities is not positive: nothing "
            "can be normalised"
        )
    n_shells = max(len(merged) // PER_SHELL, min(FEWEST_SHELLS, len(merged)))
    shells = np.array_split(np.argsort(d_star_sq, kind="stable"), n_shells)
    place = np.array([d_star_sq[shell].mean() for shell in shells])
    mean = np.array([reduced[shell].mean() for shell in shells])
    least = FLOOR * reduced.mean()
    told = mean >= least
    log_mean = np.log(np.where(told, mean, 1.0))
    if not told.all():  # shells without signal follow the others, and have no say
        from_others = _interpolate(place, place[told], log_mean[told])
        log_mean = np.where(told, log_mean, np.maximum(from_others, np.log(least)))
    log_mean = _smooth(log_mean)
    log_sigma = _interpolate(d_star_sq, place, log_mean)
    # Smoothing and interpolation do not keep the mean of the quotient.
    expected = np.exp(log_sigma)
    known: slice | np.ndarray = slice(None)
    if not told.all():
        known = np.concatenate([shells[k] for k in np.flatnonzero(told)])
    quotient = np.mean(reduced[known] / expected[known])
    if not quotient > 0:
        # Where next to nothing is expected, noise decides a mean of quotients, but not
        # the quotient of means, which is positive in every shell with signal.
        quotient = reduced[known].sum() / expected[known].sum()
    shift = np.log(quotient)
    sigma_s = np.exp(log_sigma + shift)
    return Normalisation(
        N=epsilon * sigma_s,
        sigma_s=sigma_s,
        shell_d_star_sq=place,
        shell_mean=np.exp(log_mean + shift),
        shell_n=np.array([len(shell) for shell in shells]),
    )


def _smooth(log_mean: np.ndarray) -> np.ndarray:
    """Average neighbours; the ends are continued by the line through the last two."""
    if len(log_mean) < 3:
        return log_mean
    first, last = 2 * log_mean[0] - log_mean[1], 2 * log_mean[-1] - log_mean[-2]
    return np.convolve(np.concatenate([[first], log_mean, [last]]), SMOOTHING, "valid")


def _interpolate(x: np.ndarray, place: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Interpolate linearly, and beyond the ends with the slope of the last interval."""
    if len(place) < 2:
        return np.full(len(x), value[0])
    right = np.clip(np.searchsorted(place, x), 1, len(place) - 1)
    left = right - 1
    width = np.maximum(place[right] - place[left], 1e-12)
    return value[left] + (x - place[left]) / width * (value[right] - value[left])


def observed_amplitudes(intensity: np.ndarray, N: np.ndarray) -> np.ndarray:
    """
    Give E_i = sign(I) √|I/N| of observations.

    Args:
        intensity: Shape (n,), scaled.
        N: Shape (n,), expected intensity of each one's reflection.

    Returns:
        Shape (n,), dimensionless.
    """
    return np.sign(intensity) * np.sqrt(np.abs(intensity) / N)


def merged_amplitudes(merged: np.ndarray, N: np.ndarray) -> np.ndarray:
    """
    Give E_k = √(max(I_m, 0)/N) of unique reflections.

    Args:
        merged: Shape (u,).
        N: Shape (u,).

    Returns:
        Shape (u,), dimensionless, mean square about 1.
    """
    return np.sqrt(np.maximum(merged, 0) / N)


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
