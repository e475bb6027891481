"""
Whether symmetry equivalents agree at all.

Where intensities have nothing to do with each other, whatever the reason, a correction still
makes them more alike, and expects errors as of data that agree.

Functions:
    disagreement: that they hardly do
"""

from __future__ import annotations

import logging

import numpy as np

from dials_spread.prepare.prepared import Prepared
from dials_spread.statistics.groups import group_means

logger = logging.getLogger("dials.spread.correct")

BEGINNING = "Symmetry equivalents hardly agree"
"""Of the warning."""

HARDLY, LARGE_R_MEAS = 0.4, 0.5
"""Correlation of amplitudes of equivalents below which, and R_meas above which something may be
wrong. Where intensities are exchanged within shells they are −0.12 to 0.55 (above 0.4 in some of
24 crystals, of which nothing is said) and 0.51 to 1.66. A low correlation alone tells nothing: it
is 0.20 with an R_meas of 0.15 in a simulated set as it is."""

FEWEST_TO_CORRELATE = 100

LARGE = 1 / 3
"""Part of the observations of a crystal that is looked at alone."""


def disagreement(prepared: Prepared) -> list[str]:
    """
    Warn of equivalents that hardly agree, and log it.

    Args:
        prepared: The data.
    """
    known = np.isfinite(prepared.others)
    if np.count_nonzero(known) < FEWEST_TO_CORRELATE:
        return []
    pair = prepared.E_i[known], prepared.others[known]
    found, one = float(np.corrcoef(*pair)[0, 1]), "observation"
    between = _between_crystals(prepared)
    if between < found:
        found, one = between, "crystal"
    if not (found < HARDLY and prepared.r_meas > LARGE_R_MEAS):
        return []
    told = (
        f"{BEGINNING}: normalised amplitudes of one {one} and the mean of "
        f"the others correlate by {_signed(found)}, and R_meas after scaling is "
        f"{prepared.r_meas:.2f} (in five measured sets 0.64 to 0.96, and 0.12 to 0.31; where "
        "intensities were exchanged at random −0.12 to 0.55, and 0.51 to 1.66). Space group, "
        "indexing or the compound of a crystal may be wrong. A correction makes equivalents "
        "more alike, right or wrong, and what is expected of it holds for data whose "
        "equivalents agree."
    )
    logger.warning(told)
    return [told]


def _between_crystals(prepared: Prepared) -> float:
    """
    Correlate each crystal of a third of the observations or more with all others.

    Of smaller ones outsiders() says whether they agree.

    Returns:
        The lowest correlation; 1 where there is nothing to compare.
    """
    measured, lowest = prepared.measured, 1.0
    unique, n_unique = measured.unique, measured.n_unique
    sizes = np.bincount(measured.crystal)
    for number in np.flatnonzero(sizes >= LARGE * len(measured)):
        own = measured.crystal == number
        means = [
            group_means(prepared.E_i[rows], unique[rows], n_unique)
            for rows in (own, ~own)
        ]
        common = np.isfinite(means).all(axis=0)
        if np.count_nonzero(common) >= FEWEST_TO_CORRELATE / 2:
            both = [mean[common] for mean in means]
            lowest = min(lowest, float(np.corrcoef(*both)[0, 1]))
    return lowest


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
