"""
Observations of scaled data that dials.scale rejected as outliers.

dials.scale rejects what is more than six σ from its equivalents. Multiple scattering makes
such observations, and they are what the model goes by: without them equivalents agree better
than they should, and smaller errors are expected than there are (in α-glycine R1 .142 where
.193 is found; with them .172 and .181). So they are taken in, except for gross outliers, such
as spots that overlap with others, spots of ice, and what a cosmic ray or a hot pixel has made.

An intensity can hardly become larger by multiple scattering than those that it comes from,
which are those of other reflections at like resolution. How far it is from the mean of the
others is therefore compared with that mean or, where it is smaller, with the mean intensity at
this resolution. Of what dials.scale rejects of crystals of 300 to 1,100 Å (Bloch waves), 0 to
2.2 % is further off than four times that; of intensities that were multiplied by 20, all are
whose reflection is stronger than the mean. Nor does it hide much: less than a tenth of the mean
of the others, where that is not weak, is left in 0 to 1.3 % of what is rejected, and in all of
intensities that were multiplied by 0.02 (benchmarks/rejected.py).

Where less than half of the correction is applied, since the data do not show more or because
strength= says so, they would be outliers still, and stay out: 8 crystals of 150 Å, corrected
to strength 0.17, had R1 .037 with them and .033 without.

Functions:
    without_gross: leave gross outliers out
    within_range: which observations are no gross outliers
    distances: how far they are from the others
    without_taken_in: the data without any outliers of dials.scale, prepared anew
    rejected_warning: that they are left out
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dials.array_family import flex

from dials_spread.correction.apply.subject import Subject
from dials_spread.observations import Observations
from dials_spread.observations.builder import Integrated
from dials_spread.observations.rejected import REASON, rejected_in_scaling
from dials_spread.prepare.gross import out_of_range
from dials_spread.prepare.normalisation import normalise
from dials_spread.prepare.prepared import prepare, with_sigma

logger = logging.getLogger("dials.spread.correct")

LEAST_STRENGTH = 0.5
"""Part of the correction below which nothing is taken in."""

MANY_REJECTED = 0.02
"""Part of the observations, rejected by dials.scale, from which it is said that all were left
out. Measured sets, 3 to 7 %: R1 after is 1.01 to 1.70 times the expected one without them."""


def without_gross(
    observations: Observations,
    measured: Observations,
    tables: Sequence[flex.reflection_table],
) -> tuple[Observations, Observations]:
    """
    Leave out what is wrong for other reasons than multiple scattering.

    Args:
        observations: n of them, with the outliers of dials.scale.
        measured: The same with the Lorentz factor, without which equivalents differ by more.
        tables: That they were read from.

    Returns:
        Both without the gross ones among the outliers of dials.scale, counted as left out.
    """
    rejected = rejected_in_scaling(observations, tables)
    if not rejected.any():
        return observations, measured
    kept = ~rejected | within_range(measured, rejected)
    return _selected(observations, kept), _selected(measured, kept)


def _selected(observations: Observations, kept: np.ndarray) -> Observations:
    """Select, and count what is left out as outliers of dials.scale."""
    n = int(np.count_nonzero(~kept))
    if not n:
        return observations
    dropped = {**observations.dropped}
    dropped[REASON] = dropped.get(REASON, 0) + n
    return replace(observations.select(kept), dropped=dropped)


def within_range(measured: Observations, rejected: np.ndarray) -> np.ndarray:
    """
    Say which observations are as near to the others as multiple scattering may leave them.

    Args:
        measured: n observations on one scale.
        rejected: Shape (n,), bool: the outliers of dials.scale.

    Returns:
        Shape (n,), bool; false where nothing else is left of the reflection.
    """
    return ~out_of_range(measured.intensity, *_levels(measured, rejected))


def distances(measured: Observations, rejected: np.ndarray) -> np.ndarray:
    """
    Give how far observations are from what dials.scale has accepted of their reflection.

    Args:
        measured: n observations on one scale.
        rejected: Shape (n,), bool: the outliers of dials.scale.

    Returns:
        Shape (n,), in units of the mean of the accepted ones, or of the mean intensity at
        this resolution where that is larger; infinite where nothing was accepted.
    """
    mean, usual = _levels(measured, rejected)
    return np.abs(measured.intensity - mean) / np.maximum(
        np.where(np.isfinite(mean), mean, 0.0), usual
    )


def _levels(
    measured: Observations, rejected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give what is to be expected of observations.

    Returns:
        Shape (n,) each: the mean of what was accepted of the reflection, infinite where
        there is nothing; the mean intensity at its resolution.
    """
    unique, size = measured.unique[~rejected], measured.n_unique
    n = np.bincount(unique, minlength=size)
    seen = n > 0
    found = np.bincount(unique, measured.intensity[~rejected], size)[seen] / n[seen]
    found = np.maximum(found, 0)
    mean, usual = np.full(size, np.inf), np.ones(size)
    if found.any():  # else nothing is known of how large intensities are
        mean[seen] = found
        columns = measured.d_star_sq[seen], measured.epsilon[seen]
        usual[seen] = normalise(found, *columns).N
    return mean[measured.unique], usual[measured.unique]


def without_taken_in(subject: Subject, nproc: int | None = None) -> Subject:
    """
    Give data without any outliers of dials.scale.

    Where little is corrected nothing makes up for them.

    Args:
        subject: Data with some.
        nproc: Threads; all cores by default.
    """
    if subject.taken_in is None or not subject.taken_in.any():
        return subject
    kept = ~subject.taken_in
    before, old = subject.before_scaling, subject.prepared
    measured = _selected(old.measured, kept)
    part = (subject.counted.sigma / old.sigma)[kept]
    prepared = prepare(measured, nproc)
    counted = with_sigma(prepared, measured.sigma * part)
    same = subject.counted is old
    return replace(
        subject,
        observations=_selected(subject.observations, kept),
        prepared=prepared,
        counted=prepared if same else counted,
        lorentz=subject.lorentz[kept],
        before_scaling=before and Integrated(*(x[kept] for x in before)),
        taken_in=np.zeros(len(measured), dtype=bool),
    )


def rejected_warning(observations: Observations) -> list[str]:
    """
    Say and log that the outliers of dials.scale are missing, where they are many.

    Args:
        observations: Read without them.
    """
    n = observations.dropped.get(REASON, 0)
    total = n + len(observations)
    if n < MANY_REJECTED * total:
        return []
    found = (
        f"dials.scale rejected {n:,} of {total:,} observations ({100 * n / total:.1f} %) as "
        "outliers, which multiple scattering makes as well. Without them smaller errors are "
        "expected (in measured data up to 1.7 times smaller than found), and amplitudes were no "
        "better; keep_outliers=Auto, the default, takes in those that are no gross ones."
    )
    logger.warning(found)
    return [found]
