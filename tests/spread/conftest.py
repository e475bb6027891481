"""Directions for tables without crystals."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def directions_of():
    """Directions without symmetry, from the beam of each image."""
    from dials_spread.spread.variogram.directions import ObservationDirections

    def make(unique, beam):
        return ObservationDirections(
            operator=np.zeros(len(unique), dtype=np.int8),
            beam=np.ascontiguousarray(beam[None]),
            on_directions=np.eye(3)[None],
            fixes=np.ones((int(unique.max()) + 1, 1), dtype=bool),
        )

    return make
