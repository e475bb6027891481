"""
Scaled, merged and normalised: what all features of a compound start from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dials_spread.prepare.coupling import couplings
from dials_spread.prepare.interaction import Interaction, fit_interaction
from dials_spread.prepare.lattice import Lattice, build_lattice
from dials_spread.prepare.lorentz import preferred_exponent
from dials_spread.prepare.measured import Measured
from dials_spread.prepare.normalisation import (
    Normalisation,
    merged_amplitudes,
    normalise,
    observed_amplitudes,
)
from dials_spread.prepare.scaling import Scales, fit_scales
from dials_spread.rfactor.merging import r_meas
from dials_spread.statistics.groups import group_means, group_sums, means_of_others


@dataclass(frozen=True)
class Prepared:
    """
    A compound's observations made comparable with those of others.

    Attributes:
        measured: What was measured.
        scales: What intensities were divided by.
        intensity: Shape (n,), scaled.
        sigma: Shape (n,), scaled.
        n: Shape (u,), observations of each unique reflection.
        merged: Shape (u,), mean scaled intensity.
        merged_sigma: Shape (u,), its σ from those of the observations.
        normalisation: Mean intensity by resolution.
        E_i: Shape (n,), normalised amplitudes of observations, signed.
        E_k: Shape (u,), of merged intensities.
        interaction: Its strength.
        lattice: Amplitudes at all lattice points.
        others: Shape (n,), mean E_i of the reflection's other observations; nan where
            there is none.
        coupling: Shape (n, 9), of each observation.
        r_meas: Agreement after scaling; nan where nothing was measured twice.
    """

    measured: Measured
    scales: Scales
    intensity: np.ndarray
    sigma: np.ndarray
    n: np.ndarray
    merged: np.ndarray
    merged_sigma: np.ndarray
    normalisation: Normalisation
    E_i: np.ndarray
    E_k: np.ndarray
    interaction: Interaction
    lattice: Lattice
    others: np.ndarray
    coupling: np.ndarray
    r_meas: float

    @property
    def N(self) -> np.ndarray:
        """Shape (u,), expected intensity of each unique reflection."""
        return self.normalisation.N


def check_lorentz(measured: Measured) -> tuple[float, dict[float, float]]:
    """
    See whether equivalents prefer another power of the Lorentz factor; warn if so.

    Args:
        measured: n observations.

    Returns:
        The preferred extra exponent, 0 unless another is clearly better, and R_meas
        after scaling by exponent.
    """

    def agreement(intensity: np.ndarray, sigma: np.ndarray) -> float:
        other = replace(measured, intensity=intensity, sigma=sigma)
        scaled = intensity / fit_scales(other).scale
        return r_meas(scaled, measured.unique, measured.n_unique)[0]

    return preferred_exponent(
        measured.intensity, measured.sigma, measured.rate, agreement
    )


def prepare(measured: Measured, nproc: int | None = None) -> Prepared:
    """
    Scale, merge and normalise, and compute couplings.

    Args:
        measured: n observations of u unique reflections.
        nproc: Threads; all cores by default.

    Returns:
        All that features are made of.

    Raises:
        ValueError: The mean intensity is not positive.
    """
    unique, n_unique = measured.unique, measured.n_unique
    scales = fit_scales(measured)
    intensity = measured.intensity / scales.scale
    sigma = measured.sigma / scales.scale
    n = np.bincount(unique, minlength=n_unique)
    merged = group_means(intensity, unique, n_unique)
    normalisation = normalise(merged, measured.d_star_sq, measured.epsilon)
    interaction = fit_interaction(
        normalisation,
        measured.unit_cell.volume(),
        measured.wavelength,
        measured.space_group.n_ltr(),
    )
    E_k = merged_amplitudes(merged, normalisation.N)
    lattice = build_lattice(measured, E_k, interaction)
    E_i = observed_amplitudes(intensity, normalisation.N[unique])
    others = means_of_others(E_i, unique, n_unique)
    # Of a lone observation nothing else is known than the mean of all.
    E_h = np.where(np.isnan(others), 1.0, others)
    return Prepared(
        measured=measured,
        scales=scales,
        intensity=intensity,
        sigma=sigma,
        n=n,
        merged=merged,
        merged_sigma=np.sqrt(group_sums(sigma**2, unique, n_unique)) / n,
        normalisation=normalisation,
        E_i=E_i,
        E_k=E_k,
        interaction=interaction,
        lattice=lattice,
        others=others,
        coupling=couplings(measured, lattice, interaction, E_h, nproc),
        r_meas=r_meas(intensity, unique, n_unique)[0],
    )
