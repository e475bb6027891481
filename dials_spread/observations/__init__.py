"""
Reflection tables in, arrays out.

Modules:
    builder: the door, build_observations
    one_crystal: what counts of one crystal's reflections
    intensities: which intensity is used, which reflections are left out
    images: which observation is on which image
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
