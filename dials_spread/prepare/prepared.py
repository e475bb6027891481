"""
Scaled, merged and normalised: what all features of a compound start from.

Functions:
    prepare: all of it
    with_sigma: the same with other σ
    check_lorentz: whether equivalents prefer another power of the Lorentz factor
    check_precession: whether they prefer that of precession
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dials_spread.observations import Observations
from dials_spread.observations.table import OFTEN
from dials_spread.prepare.coupling import couplings
from dials_spread.prepare.crystal_groups import (
    CrystalGroup,
    CrystalGroups,
    as_it_is,
)
from dials_spread.prepare.decay import find_scales
from dials_spread.prepare.geometry import SLOWEST
from dials_spread.prepare.lattice import Lattice, build_lattice
from dials_spread.prepare.measurement import precession_rate
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
from dials_spread.stages import stage
from dials_spread.statistics.groups import group_sums, means_of_others

EXPONENTS = (-1.0, 0.0, 1.0)
"""Powers of the rate tried on top of what is in use."""

CLEARLY = {-1.0: 0.8, 1.0: 0.95}
"""R_meas must fall to this part before another exponent is called better. One factor less
makes what lies next to the rotation axis, and is measured worst, count for less: R_meas falls
by it in one of seven sets whose factor is right."""

MUCH_BETTER, NO_WORSE = 0.85, 1.25
"""R_meas must fall to the first part before the factor of precession is called better than
that of a rotation, and be no more than the second times that without any factor: equivalents
are as far from the origin as each other, and tell only a part of the factor."""

WIDEST, PARTS_OF_RANGE = 0.99, (1.0, 0.7)
"""Quantile of excitation errors that is taken for the widest, and which part of the range
of the precession they may be."""


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


@stage("Lorentz factor")
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
        return _agreement(groups, groups.rates, (middle, exponent))

    return preferred_exponent(agreement)


def check_precession(
    measured: Observations, found: Mapping[float, float], groups: CrystalGroups
) -> float | None:
    """
    See whether equivalents prefer the Lorentz factor of precession to that of a rotation.

    The semi-angle is not known: two are tried, of the widest excitation errors being at the
    end of their range, or at 0.7 of it, to which lists are often cut.

    Args:
        measured: n observations.
        found: From check_lorentz.
        groups: The same observations.

    Returns:
        R_meas with equal weights, after scaling, with the factor of precession, where it is
        so much lower (MUCH_BETTER) than with that of the rotation, and no higher than without
        any; None otherwise, and where each crossing is listed once, since frames with
        precession list it several times.
    """
    if measured.of_precession or not measured.lorentz_applied_here:
        return None
    if len(measured) < OFTEN * measured.n_passages or not np.all(measured.rate > 0):
        return None
    best = precession_r_meas(measured, groups)
    least = min(MUCH_BETTER * found[0.0], NO_WORSE * found[-1.0])
    return best if best < least else None


def precession_r_meas(measured: Observations, groups: CrystalGroups) -> float:
    """
    Give R_meas with the Lorentz factor of precession instead of that of the rotation.

    Args:
        measured: n observations, whose rates are all known.
        groups: The same observations.
    """
    rate, excitation = measured.rate, measured.excitation
    d_star = np.sqrt(measured.d_star_sq)[measured.unique]
    widest = float(np.quantile(np.abs(excitation) / d_star, WIDEST))
    best = np.inf
    for part in PARTS_OF_RANGE:
        angle = np.full(len(rate), np.arcsin(min(widest / part, 0.5)))
        own = precession_rate(d_star, excitation, angle, measured.wavelength)
        ratio = own / np.maximum(rate, SLOWEST * np.median(rate))
        kept = groups.keep(as_it_is, None, [(x,) for x in groups.cut(ratio)])
        best = min(best, _agreement(groups, kept, (float(np.median(ratio)), 1.0)))
    return float(best)


def _agreement(groups: CrystalGroups, rates: list, power: tuple[float, float]) -> float:
    """Give R_meas after scaling, of intensities times a power of a rate over the middle."""
    own = [*zip(groups.observed, rates)]
    fit = ScaleFit(groups.with_observed(groups.keep(_with_rate, power, own)))
    fit.run()
    return fit.r_meas()


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
