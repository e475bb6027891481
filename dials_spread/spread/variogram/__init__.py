"""
How the disagreement of two observations grows with the angle between their beams.

Modules:
    angle_bins: the variogram in bins of the angle between two beams, for draws of
        crystals
    curves: nugget, sill and range
    directions: where the beam came from when a reflection was measured, as its unique
        index sees it
    pair_table: pairs of observations of one unique reflection, summed by angle and by
        crystals
    variogram: how the disagreement of two observations grows with the angle between
        their beams
"""

from __future__ import annotations
