"""
Scaled, merged and normalised: what all features of a compound start from.

Functions:
    prepare: all of it
    with_sigma: the same with other σ
    check_lorentz: whether equivalents prefer another power of the Lorentz factor
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dials_spread.observations import Observations
from dials_spread.prepare.coupling import couplings
from dials_spread.prepare.crystal_groups import CrystalGroup, CrystalGroups
from dials_spread.prepare.decay import find_scales
from dials_spread.prepare.lattice import Lattice, build_lattice
from dials_spread.prepare.normalisation import (
    Interaction,
    Normalisation,
    fit_interaction,
    merged_amplitudes,
    normalise,
    observed_amplitudes,
)
from dials_spread.prepare.scaling import ScaleFit, Scales
from dials_spread.rfactor.merging import r_meas
from dials_spread.statistics.groups import group_sums, means_of_others

EXPONENTS = (-1.0, 0.0, 1.0)
"""Powers of the rate tried on top of what is in use."""

CLEARLY = {-1.0: 0.8, 1.0: 0.95}
"""R_meas must fall to this part before another exponent is called better. One factor less
makes what lies next to the rotation axis, and is measured worst, count for less: R_meas falls
by it in one of seven sets whose factor is right."""


@dataclass(frozen=True)
class Prepared:
    """
    A compound's observations made comparable with those of others.

    Attributes:
        measured: The observations, each crystal on its scale.
        scaled: The same, all on one scale.
        scales: What intensities were divided by.
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
        coupling: Shape (n, 9), float32, of each observation.
        r_meas: Agreement after scaling; nan where nothing was measured twice.
    """

    measured: Observations
    scaled: Observations
    scales: Scales
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
    def intensity(self) -> np.ndarray:
        """Shape (n,), on one scale."""
        return self.scaled.intensity

    @property
    def sigma(self) -> np.ndarray:
        """Shape (n,), likewise."""
        return self.scaled.sigma

    @property
    def with_damage(self) -> Observations:
        """As `scaled`, damage left in where it was taken out."""
        decay = self.scales.decay
        if decay is None or not decay.is_taken_out:
            return self.scaled
        return self.measured.divided(decay.scale_with)

    @property
    def N(self) -> np.ndarray:
        """Shape (u,), expected intensity of each unique reflection."""
        return self.normalisation.N


def check_lorentz(
    measured: Observations,
    scales: Scales | None = None,
    groups: CrystalGroups | None = None,
) -> tuple[float, dict[float, float]]:
    """
    See whether equivalents prefer another power of the Lorentz factor.

    Args:
        measured: n observations.
        scales: From fit_scales, where they are known already.
        groups: The same observations, where they were cut into groups before.

    Returns:
        The preferred extra exponent, 0 unless another is clearly better, and R_meas with
        equal weights, after scaling, by exponent.
    """
    groups = groups or CrystalGroups.of(measured)
    rate = measured.rate
    usable = np.isfinite(rate) & (rate > 0)
    middle = float(np.median(rate[usable])) if usable.any() else np.nan

    def agreement(exponent: float) -> float:
        if not exponent and scales is not None:
            intensity = measured.intensity / scales.scale
            return r_meas(intensity, measured.unique, measured.n_unique)[0]
        own = [*zip(groups.observed, groups.rates)]
        other = groups.with_observed(groups.keep(_with_rate, (middle, exponent), own))
        fit = ScaleFit(other)
        fit.run()
        return fit.r_meas()

    return preferred_exponent(agreement)


def _with_rate(
    power: tuple[float, float], observed: CrystalGroup, rate: np.ndarray
) -> CrystalGroup:
    """Multiply by a power of the rate, over the middle one, where there is a rate."""
    middle, exponent = power
    usable = np.isfinite(rate) & (rate > 0)
    factor = np.where(usable, rate / middle, 1.0) ** exponent
    # By way of σ, as rounding has it.
    return observed._replace(
        intensity=observed.intensity * factor,
        variance=(np.sqrt(observed.variance) * factor) ** 2,
    )


def preferred_exponent(
    agreement: Callable[[float], float],
) -> tuple[float, dict[float, float]]:
    """
    Find the power of the rate with which equivalents agree best.

    Dynamical error can favour the wrong one: callers tell it and do not obey it.

    Args:
        agreement: Gives R_meas after scaling of intensities with an extra power.

    Returns:
        The preferred extra exponent, 0 unless another is clearly better, and R_meas by
        exponent.
    """
    found = {exponent: agreement(exponent) for exponent in EXPONENTS}
    so_far = found.get(0.0, np.nan)
    better = {e: r for e, r in found.items() if e and r < CLEARLY[e] * so_far}
    if better:
        return min(better, key=lambda e: better[e]), found
    return 0.0, found


def prepare(
    measured: Observations,
    nproc: int | None = None,
    scales: Scales | None = None,
    groups: CrystalGroups | None = None,
) -> Prepared:
    """
    Scale, merge and normalise, and compute couplings.

    Args:
        measured: n observations of u unique reflections.
        nproc: Threads; all cores by default.
        scales: From find_scales, where they are known already.
        groups: The same observations, where they were cut into groups before.

    Returns:
        All that features are made of.

    Raises:
        ValueError: The mean intensity is not positive.
    """
    unique, n_unique = measured.unique, measured.n_unique
    if scales is None:
        scales = find_scales(measured, groups or CrystalGroups.of(measured, nproc))
    scaled = measured.divided(scales.scale)
    intensity, sigma = scaled.intensity, scaled.sigma
    n = np.bincount(unique, minlength=n_unique)
    merged = scaled.merged()
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
        scaled=scaled,
        scales=scales,
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


def with_sigma(prepared: Prepared, sigma: np.ndarray) -> Prepared:
    """
    Give the same data with other σ; scales and means stay as they are.

    Args:
        prepared: n observations of u unique reflections.
        sigma: Shape (n,), positive, of the observations before scaling.
    """
    measured = prepared.measured.with_intensity(prepared.measured.intensity, sigma)
    scaled = measured.divided(prepared.scales.scale)
    total = group_sums(scaled.variance, measured.unique, measured.n_unique)
    merged_sigma = np.sqrt(total) / prepared.n
    return replace(
        prepared, measured=measured, scaled=scaled, merged_sigma=merged_sigma
    )
