"""
Whether a pair of images agrees better than expected by chance.

Modules:
    changed_signs: what pairs share where deviations have random signs
    correlation: which part of the spread matched images share
    draws: pairs of observations drawn at random, that pairs of images are compared with
    likelihood: is a matched pair of images better than expected by chance?
    orientation_sums: the formulas of same_orientation, once all is summed
    pools: what a permutation of a matched pair draws from, and what it is compared with
    same_orientation: do images of one orientation agree better than with others?
"""

from __future__ import annotations
