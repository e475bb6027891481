"""
How well intensities agree with structure factors that are taken for the truth.

Modules:
    assessment: all of these by crystal, image, shell and merged
    merging: merged intensities, R_meas, correlation, likelihood
    r1: R1 with the one scale that minimises it, for many groups at once
    shells: resolution shells, and values shuffled within them
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
