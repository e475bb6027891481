"""
Reflection tables in, arrays out.

Modules:
    builder: the door, build_observations
    crystals: whether crystals can be compared at all
    images: which observation is on which image
    intensities: which intensity is used, which reflections are left out
    one_crystal: what counts of one crystal's reflections
    passages: what neighbouring images list again
"""

from __future__ import annotations

from dials_spread.observations.builder import (
    Observations,
    build_observations,
    unique_indices,
)
from dials_spread.observations.images import Images
from dials_spread.observations.one_crystal import Choices

__all__ = ["Choices", "Images", "Observations", "build_observations", "unique_indices"]
