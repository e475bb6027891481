"""
Reflections that neighbouring images list again.

Overlapping virtual frames list one passage through the Ewald sphere on each of several
neighbours, from the same counts. Such images agree because they share a measurement.

Functions:
    count_passages: how many passages the observations are of
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations.builder import Observations

OFTEN = 1.2
"""Observations for each passage above which agreement of neighbours says little."""


def count_passages(observations: Observations) -> int:
    """
    Count what was measured, each passage once.

    Args:
        observations: Of all crystals.

    Returns:
        The number of runs of neighbouring images that list the same index in the same
        crystal.
    """
    n = len(observations)
    if not n:
        return 0
    image = np.empty(n, dtype=np.int64)
    image[observations.entry[::-1]] = observations.entry_image[::-1]
    crystal, index = observations.crystal, observations.miller_index
    order = np.lexsort((image, *index.T, crystal))
    crystal, index, image = crystal[order], index[order], image[order]
    first, last = observations.images.first[image], observations.images.last[image]
    new = (
        (crystal[1:] != crystal[:-1])
        | np.any(index[1:] != index[:-1], axis=1)
        | (first[1:] > last[:-1] + 1)
    )
    return 1 + int(new.sum())


def often_repeated(observations: Observations) -> bool:
    """Whether so many observations are repeats that it has to be said."""
    return len(observations) > OFTEN * count_passages(observations)
