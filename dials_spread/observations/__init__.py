"""
Reflection tables in, arrays out.

Modules:
    builder: the door, build_observations
    intensities: which intensity is used, which reflections are left out
    images: which observation is on which image
"""

from __future__ import annotations

from dials_spread.observations.builder import (
    Choices,
    Observations,
    build_observations,
    unique_indices,
)
from dials_spread.observations.images import Images

__all__ = ["Choices", "Images", "Observations", "build_observations", "unique_indices"]
