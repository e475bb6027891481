"""
Whether a pair of images agrees better than expected by chance.

Modules:
    changed_signs: what pairs share where deviations have random signs
    likelihood: is a matched pair of images better than expected by chance?
    orientation_sums: the formulas of same_orientation, once all is summed
    pools: what a permutation of a matched pair draws from, and what it is compared with
    same_orientation: do images of one orientation agree better than with others?
"""

from __future__ import annotations
