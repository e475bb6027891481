"""
Matched images compared, spot by spot and against all other observations.

Modules:
    agreement: how well the images of each pair agree over their common reflections
    matching: the pairs among the best partners of every image, ranked
    scales: a common scale for crystals, and for images, that are not scaled
    shared: the common reflections of many pairs
    spots: one pair in full, with the background of all other images
    summary: how well all pairs agree, with intervals over crystals
    tolerance: up to which angle two orientations are the same
"""

from __future__ import annotations

from dials_spread.pairs.agreement import PairAgreement, compare_pairs
from dials_spread.pairs.matching import Matches, match_images
from dials_spread.pairs.scales import crystal_scales, left_by_scales
from dials_spread.pairs.spots import SpotComparison, compare_spots
from dials_spread.pairs.summary import MedianOverPairs, summarise
from dials_spread.pairs.tolerance import SameOrientation, same_orientation

__all__ = [
    "PairAgreement",
    "MedianOverPairs",
    "Matches",
    "SameOrientation",
    "SpotComparison",
    "compare_pairs",
    "compare_spots",
    "crystal_scales",
    "left_by_scales",
    "match_images",
    "same_orientation",
    "summarise",
]
