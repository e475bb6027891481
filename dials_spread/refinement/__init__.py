"""
Refinement of a structure against merged intensities of electrons, with smtbx.

Modules:
    against_reference: shifts and bond lengths against the reference
    agreement: R1, wR2, goodness of fit, outliers
    difference_map: peaks of the Fo - Fc map
    held_out: R1 of reflections that the fit never saw
    hydrogen: how hydrogen rides on its parent
    hydrogen_peaks: the hydrogen sites in a map of a model without them
    least_squares: full matrix on F²
    merged_data: intensities as a refinement takes them
    model: the model that is refined, with electron form factors
    refine: settings, and the refinement itself
    result: what it gives
    weights: weights of the SHELXL form
"""

from __future__ import annotations

from dials_spread.refinement.held_out import HeldOutR1, held_out_r1
from dials_spread.refinement.hydrogen_peaks import HydrogenPeaks, hydrogen_peaks
from dials_spread.refinement.refine import RefinementSettings, refine
from dials_spread.refinement.result import Refinement

__all__ = [
    "HeldOutR1",
    "HydrogenPeaks",
    "Refinement",
    "RefinementSettings",
    "held_out_r1",
    "hydrogen_peaks",
    "refine",
]
