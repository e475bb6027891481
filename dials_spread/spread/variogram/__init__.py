"""
How the disagreement of two observations grows with the angle between their beams.

Modules:
    angle_bins: the variogram in bins of the angle between two beams, with samples over
        crystals
    curves: γ at 0°, the plateau, and how fast the one goes over into the other
    directions: where the beam came from when a reflection was measured, as its unique
        index sees it
    growth: whether the disagreement of observations grows with the angle at all
    near_pairs: which observations of a reflection have beams near that of another one
    pair_inputs: what pairs of observations of one unique reflection are made of
    pair_table: pairs of observations of one unique reflection, summed by angle and by
        crystals
    repeats: how much observations of one crystal at one orientation differ
    shuffles: what γ near 0° would be if the orientation did not matter
    variogram: how the disagreement of two observations grows with the angle between
        their beams
"""

from __future__ import annotations
