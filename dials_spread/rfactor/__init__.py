"""
How well intensities agree, with one another and with structure factors.

Modules:
    assessment: all of these by crystal, image, shell and merged
    merging: merged intensities, R_meas, correlation, likelihood
    merging_statistics: R_merge, R_meas, R_pim, CC½, completeness, multiplicity, ⟨I/σ⟩
    r1: R1 with the one scale that minimises it, for many groups at once
    scaled_r1: R1 with a scale and an overall B
    shells: resolution shells, and values shuffled within them
    wilson_statistics: the distribution of intensities, and what is expected of it
"""

from __future__ import annotations

from dials_spread.rfactor.assessment import Assessment, assess
from dials_spread.rfactor.merging import Merged, merge
from dials_spread.rfactor.r1 import RFactors, amplitudes, r_factor, r_factors

__all__ = [
    "Assessment",
    "Merged",
    "RFactors",
    "amplitudes",
    "assess",
    "merge",
    "r_factor",
    "r_factors",
]
