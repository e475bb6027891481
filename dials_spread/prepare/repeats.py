"""
One passage through the Ewald sphere, listed several times.

Converted virtual frames overlap, and list a reflection on each of several neighbours. That
is one measurement at one orientation, not several: what multiple scattering does to it is
the same each time. Counted apart, such listings would pass for equivalents that agree.

Functions:
    join_repeats: listings of one passage as one observation
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dials_spread.observations.passages import number_passages
from dials_spread.prepare.measured import Measured
from dials_spread.statistics.groups import group_means

LARGEST_GAP = 2.0
"""Listings of one index in one crystal no further apart are of one passage [°]."""


def passages(measured: Measured) -> np.ndarray:
    """
    Number the passages through the Ewald sphere.

    Args:
        measured: n observations.

    Returns:
        Shape (n,), the passage of each, in the order in which they first appear.
    """
    angle = measured.angle
    return number_passages(
        measured.crystal, measured.miller_index, angle, angle, LARGEST_GAP
    )


def join_repeats(measured: Measured) -> tuple[Measured, np.ndarray]:
    """
    Make one observation of all listings of a passage.

    Args:
        measured: n observations.

    Returns:
        p observations, one a passage, with the mean intensity, the mean σ (overlapping
        frames share what they counted), and the mean direction and angle; and the
        passage of each of the n, shape (n,).
    """
    passage = passages(measured)
    n = int(passage.max(initial=-1)) + 1
    if n == len(passage):
        return measured, passage
    first = np.unique(passage, return_index=True)[1]
    beam = np.stack([group_means(c, passage, n) for c in measured.beam.T], axis=1)
    means = {
        name: group_means(getattr(measured, name), passage, n)
        for name in ("intensity", "sigma", "rate", "angle")
    }
    joined = replace(
        measured,
        miller_index=measured.miller_index[first],
        unique=measured.unique[first],
        crystal=measured.crystal[first],
        beam=beam / np.linalg.norm(beam, axis=1)[:, None],
        **means,
    )
    return joined, passage
