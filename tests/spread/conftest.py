"""Directions for tables without crystals."""

from __future__ import annotations

import pytest


@pytest.fixture
def directions_of():
    """Directions without symmetry, of a table made by simulation.tables.make_table."""
    from dials_spread.spread.variogram.directions import ObservationDirections

    def make(table):
        unique, image, beam = table[0], table[2], table[5]
        return ObservationDirections.without_symmetry(
            beam[image], int(unique.max()) + 1
        )

    return make
