"""
Data that are to be corrected, and what must be said of them first.

Classes:
    Subject: the data, scaled and merged
    Beyond: observations that the correction has nothing to say of
    Within: the others

Functions:
    within_limit: observations that have a say, to the resolution limit, and the others
    with_counting_errors: scaled data with σ of counting alone
    lorentz_check: which Lorentz factor equivalents prefer
    lorentz_warning, precession_warning: that it is another one
    odd_crystals, doubts_of_merged: what else is wrong with them
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from dials_spread.correction.apply.disagreement import disagreement
from dials_spread.correction.apply.table_errors import LARGEST_INFLATION
from dials_spread.observations import Observations
from dials_spread.observations.builder import Integrated, unscaled_with_lorentz
from dials_spread.observations.error_model import CountingErrors
from dials_spread.observations.exchanged_axes import (
    describe_exchanged,
    find_exchanged,
)
from dials_spread.observations.table import OFTEN
from dials_spread.prepare.crystal_groups import CrystalGroups
from dials_spread.prepare.decay import find_scales
from dials_spread.prepare.extinctions import missing_elements
from dials_spread.prepare.gross import gross_outliers
from dials_spread.prepare.measurement import Measurement
from dials_spread.prepare.outsiders import outsiders
from dials_spread.prepare.prepared import (
    Prepared,
    check_lorentz,
    check_precession,
    with_sigma,
)
from dials_spread.prepare.resolution import ResolutionLimit, resolution_limit
from dials_spread.prepare.scaling import Scales
from dials_spread.prepare.suitability import reasons_against

logger = logging.getLogger("dials.spread.correct")

NAMED = 10
"""Crystals that a warning names."""


@dataclass(frozen=True)
class Subject:
    """
    Data that are to be corrected.

    Attributes:
        observations: Of all crystals.
        prepared: The same, scaled and merged.
        counted: As prepared, with the σ of counting alone, which the estimate starts
            from; the same object where these are the σ of the tables.
        lorentz: Shape (n,), the Lorentz factor applied here, with median 1.
        before_scaling: Scaled intensities before they were; None where the tables have
            none.
        lorentz_exponent: Power of it that equivalents would prefer more; 0 is good.
        lorentz_r_meas: R_meas with equal weights, by that power.
        lorentz_precession: The same with the factor of precession instead of that of a
            rotation, where it is clearly better; None otherwise.
        warnings: Sentences for the user.
        limit: To which resolution there is signal; None where that was not looked at.
        beyond: What lies beyond the limit, is of outsiders, or gross; None for nothing.
        outsiders: Numbers of crystals that have no say; see prepare.outsiders.
        n_gross: Gross outliers of integrated data, which have none; see prepare.gross.
        measurement: How the data were measured.
        taken_in: Shape (n,), bool, what dials.scale had rejected as outliers; None for
            nothing.
    """

    observations: Observations
    prepared: Prepared
    counted: Prepared
    lorentz: np.ndarray
    before_scaling: Integrated | None
    lorentz_exponent: float
    lorentz_r_meas: dict[float, float]
    warnings: tuple[str, ...]
    limit: ResolutionLimit | None = None
    beyond: Beyond | None = None
    outsiders: tuple[int, ...] = ()
    n_gross: int = 0
    measurement: Measurement = Measurement("rotation")
    lorentz_precession: float | None = None
    taken_in: np.ndarray | None = None

    @property
    def accepted(self) -> np.ndarray:
        """
        Shape (n,), bool: what the data were before the correction.

        What dials.scale had accepted, and all of reflections of which nothing else is left.
        """
        measured = self.prepared.measured
        if self.taken_in is None:
            return np.ones(len(measured), dtype=bool)
        left = np.bincount(measured.unique[~self.taken_in], minlength=measured.n_unique)
        return ~self.taken_in | (left == 0)[measured.unique]

    @property
    def integrated(self) -> Integrated | None:
        """Intensities before scaling; None where the tables have none."""
        if self.observations.scaled:
            return self.before_scaling
        return unscaled_with_lorentz(self.observations, self.lorentz)


@dataclass(frozen=True)
class Beyond:
    """
    Observations that have no say in the correction.

    They lie beyond the resolution limit, are of crystals that are not shown to agree with the
    others, or gross outliers.

    Attributes:
        measured: n of them.
        lorentz: Shape (n,), the Lorentz factor applied here, over the median of the
            others; all that their intensities are multiplied by.
        inflation: Shape (n,), by which variances are multiplied besides: of outsiders as
            large as to make σ the root mean square of their intensities, of gross outliers
            as large as they or the middle of their reflection.
    """

    measured: Observations
    lorentz: np.ndarray
    inflation: np.ndarray


class Within(NamedTuple):
    """
    Observations that have a say: to the resolution limit, of crystals that agree, not gross.

    Attributes:
        observations: n of them, as they were read.
        measured: The same with their geometry.
        lorentz: Shape (n,), the Lorentz factor applied here, with median 1.
        limit: To which resolution there is signal.
        beyond: The others; None for nothing.
        groups: The n, cut into groups of crystals.
        scales: Of the n; None where they have to be found.
        outsiders: Numbers of crystals that are not shown to agree with the others.
        n_gross: Gross outliers of the rest.
    """

    observations: Observations
    measured: Observations
    lorentz: np.ndarray
    limit: ResolutionLimit
    beyond: Beyond | None
    groups: CrystalGroups
    scales: Scales | None
    outsiders: tuple[int, ...]
    n_gross: int = 0


def within_limit(
    observations: Observations,
    measured: Observations,
    d_min: float | str | None,
    nproc: int | None = None,
    keep_gross: bool = False,
) -> Within:
    """
    Find the resolution limit, and leave out what is beyond, or not to be believed.

    Args:
        observations: As they were read.
        measured: The same with their geometry.
        d_min: The limit [Å]; "auto" to find it from the data, None for none. One that
            was found is not obeyed where too little would be left for a correction.
        nproc: Threads; all cores by default.
        keep_gross: Leave gross outliers of integrated data their say.

    Raises:
        ValueError: Nothing is within.
    """
    groups = CrystalGroups.of(measured, nproc)
    scales = find_scales(measured, groups)
    scaled = measured.divided(scales.scale)
    suspect = _suspect(scaled, keep_gross or observations.scaled)
    believed = kept = ~suspect.any
    n_gross = int(np.count_nonzero(suspect.gross))
    limit = ResolutionLimit(None, "d_min", float(measured.d_spacing.min()))
    if d_min is not None:
        given = None if isinstance(d_min, str) else d_min
        limit = resolution_limit(scaled if kept.all() else scaled.select(kept), given)
    if limit.d_min is not None:
        inside = measured.within(limit.d_min)
        if d_min == "auto" and reasons_against(observations.select(kept & inside)):
            limit = replace(limit, d_min=None)
        else:
            kept = kept & inside
            n_gross = int(np.count_nonzero(suspect.gross & inside))
    ratio = measured.sigma / observations.sigma
    ratio = ratio / np.median(ratio[kept] if kept.any() else ratio)
    if kept.all():
        return Within(observations, measured, ratio, limit, None, groups, scales, ())
    if not kept.any():
        raise ValueError(
            f"d_min={limit.d_min:g} leaves nothing: the observations begin at "
            f"{measured.d_spacing.max():.2f} Å"
        )
    inflation = np.where(believed, 1.0, suspect.inflation(measured, scales.scale))
    own = measured.select(kept)
    return Within(
        observations=observations.select(kept),
        measured=own,
        lorentz=ratio[kept],
        limit=limit,
        beyond=Beyond(measured.select(~kept), ratio[~kept], inflation[~kept]),
        groups=CrystalGroups.of(own, nproc),
        scales=None,
        outsiders=tuple(int(c) for c in suspect.crystals),
        n_gross=n_gross,
    )


class _Suspect(NamedTuple):
    """
    Observations that are not to be believed.

    Attributes:
        crystals: Numbers of crystals that are not shown to agree with the others.
        outside: Shape (n,), bool, the observations of these.
        gross: Shape (n,), bool, gross outliers of the others.
        middle: Shape (n,), of the reflections of the others, on one scale.
    """

    crystals: np.ndarray
    outside: np.ndarray
    gross: np.ndarray
    middle: np.ndarray

    @property
    def any(self) -> np.ndarray:
        """Shape (n,), bool."""
        return self.outside | self.gross

    def inflation(self, measured: Observations, scale: np.ndarray) -> np.ndarray:
        """Give by what their variances are multiplied, shape (n,)."""
        size = np.maximum(np.abs(measured.intensity), self.middle * scale)
        for number in self.crystals:
            own = measured.crystal == number
            # Nothing more is known of them than how large they are.
            size[own] = np.sqrt(np.mean(measured.intensity[own] ** 2))
        return np.minimum(1 + size**2 / measured.variance, LARGEST_INFLATION)


def _suspect(scaled: Observations, keep_gross: bool) -> _Suspect:
    """
    Find crystals that do not agree, and gross outliers of the others.

    Of scaled data dials.scale has found these.
    """
    crystals = outsiders(scaled)
    outside = np.isin(scaled.crystal, crystals)
    gross, middle = np.zeros(len(scaled), dtype=bool), np.zeros(len(scaled))
    if not keep_gross:
        rest = scaled.select(~outside) if len(crystals) else scaled
        gross[~outside], middle[~outside] = gross_outliers(rest)
    return _Suspect(crystals, outside, gross, middle)


def odd_crystals(within: Within, whole: Observations) -> list[str]:
    """
    Warn of crystals with exchanged axes, and of those that are not shown to agree.

    Args:
        within: What has a say.
        whole: All observations: a crystal with other axes agrees with no other.
    """
    seen = whole if within.outsiders else within.observations
    return _exchanged_axes(seen) + _outsiders_warning(within)


def _outsiders_warning(within: Within) -> list[str]:
    """Name and log crystals that are not shown to agree with the others."""
    if not within.outsiders or within.beyond is None:
        return []
    crystal, out = within.beyond.measured.crystal, within.outsiders
    n = int(np.count_nonzero(np.isin(crystal, out)))
    some = ", ".join(map(str, out[:NAMED]))
    if len(out) > NAMED:
        some += f" and {len(out) - NAMED} more"
    found = (
        f"Not shown to agree with the other crystals: {some} (crystals from 0; {n:,} of "
        f"{n + len(within.observations):,} observations). They have no say in the "
        "correction and stay as they were, but for a missing Lorentz factor."
    )
    logger.warning(found)
    return [found]


def _exchanged_axes(observations: Observations) -> list[str]:
    """Name and log crystals whose axes are exchanged."""
    found = describe_exchanged(find_exchanged(observations))
    if not found:
        return []
    found += " dials.compare_images has the commands."
    logger.warning(found)
    return [found]


def doubts_of_merged(prepared: Prepared) -> list[str]:
    """
    Warn of reflections that vanish for no reason, and of equivalents that hardly agree.

    Args:
        prepared: The data.
    """
    return _extinctions(prepared) + disagreement(prepared)


def _extinctions(prepared: Prepared) -> list[str]:
    """Name and log reflections near zero that the space group does not extinguish."""
    found = missing_elements(
        prepared.measured.unique_index,
        prepared.merged / prepared.normalisation.N,
        prepared.measured.space_group,
    )
    for sentence in found:
        logger.warning(sentence)
    return found


def with_counting_errors(
    prepared: Prepared, observations: Observations, counting: CountingErrors
) -> Prepared:
    """
    Give scaled data with σ of counting alone.

    dials.scale enlarges σ by its error model until equivalents agree within them. With
    multiple scattering they disagree, so that the very error that is to be corrected
    would be taken for noise: of quartz, the correction then reached R1 .193 instead of
    .146.

    Args:
        prepared: n observations.
        observations: The same, as they were read.
        counting: Their errors.

    Returns:
        The input itself where it was not scaled, or nothing is known of before.
    """
    if not counting.known:
        return prepared
    part = np.sqrt(counting.variance / observations.variance)
    return with_sigma(prepared, prepared.measured.sigma * part)


def lorentz_check(within: Within) -> tuple[dict[str, Any], list[str]]:
    """
    See which Lorentz factor symmetry equivalents prefer.

    Args:
        within: What is to be corrected.

    Returns:
        Attributes of Subject by name, and sentences for the user.
    """
    measured, groups = within.measured, within.groups
    exponent, found = check_lorentz(measured, within.scales, groups)
    precession = check_precession(measured, found, groups)
    warnings = []
    if precession is not None:
        warnings.append(precession_warning(precession, found[0.0]))
    elif exponent:
        warnings.append(lorentz_warning(measured, exponent, found))
    return {
        "lorentz_exponent": exponent,
        "lorentz_r_meas": found,
        "lorentz_precession": precession,
    }, warnings


def precession_warning(precession: float, rotation: float) -> str:
    """
    Say that symmetry equivalents prefer the Lorentz factor of precession.

    Args:
        precession, rotation: R_meas with equal weights with the one factor and the other.
    """
    return (
        "Observations agree better with the Lorentz factor of precession than with that "
        f"of a rotation, which was multiplied in here (R_meas with equal weights "
        f"{precession:.3f} instead of {rotation:.3f}). Did the beam precess? "
        "precession_angle= with the semi-angle in degrees says so."
    )


def lorentz_warning(
    measured: Observations, exponent: float, found: Mapping[float, float]
) -> str:
    """
    Say that symmetry equivalents prefer another power of the Lorentz factor.

    Args:
        measured: With the Lorentz factor, as it was found or applied.
        exponent: The preferred extra power, not 0.
        found: R_meas with equal weights by extra power.
    """
    if measured.of_precession and exponent > 0:
        return (
            "Observations agree better with the Lorentz factor of a rotation than with "
            "that of precession, which was multiplied in here (R_meas with equal weights "
            f"{found[exponent]:.3f} instead of {found[0.0]:.3f}). Did the beam precess? "
            "experiment=rotation says that it did not."
        )
    listed_often = len(measured) >= OFTEN * measured.n_passages
    factors = "one Lorentz factor" if abs(exponent) == 1 else "a Lorentz factor"
    so_far = "was multiplied in here" if measured.lorentz_applied_here else "was found"
    return (
        f"Observations agree better with {factors} {'more' if exponent > 0 else 'less'} "
        f"(R_meas with equal weights {found[exponent]:.3f} instead of {found[0.0]:.3f}). "
        f"The factor {so_far}: is it applied in the input? lorentz=missing or "
        "lorentz=applied says so. Multiple scattering can favour the wrong choice."
        f"{_PRECESSED if listed_often and exponent < 0 else ''}"
    )


_PRECESSED = " If the beam precessed, precession_angle= says so."
