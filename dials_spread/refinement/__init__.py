"""
Refinement of a structure against merged intensities of electrons, with smtbx.

Modules:
    against_reference: shifts and bond lengths against the reference
    agreement: R1, wR2, goodness of fit, outliers
    difference_map: peaks of the Fo - Fc map
    element_check: whether elements scatter as much as they do in the crystal
    held_out: R1 of reflections that the fit never saw
    hydrogen: how hydrogen rides on its parent
    hydrogen_search: the hydrogen sites in a map of a model without them
    least_squares: full matrix on F²
    merged_data: intensities as a refinement takes them
    model: the model that is refined, with electron form factors
    normal_equations: of a model against intensities, and damped cycles
    refined_cif: the refined structure as a CIF with standard uncertainties
    refined_res: the refined structure as SHELX has it
    refining: settings, and the refinement itself
    resampled: what resampled intensities would give
    result: what it gives
    weights: weights of the SHELXL form
"""

from __future__ import annotations

from dials_spread.refinement.held_out import HeldOutR1, held_out_r1, held_out_set
from dials_spread.refinement.hydrogen_search import HydrogenPeaks, hydrogen_peaks
from dials_spread.refinement.refining import RefinementSettings, refine
from dials_spread.refinement.resampled import Resampled, refine_resampled
from dials_spread.refinement.result import Refinement

__all__ = [
    "HeldOutR1",
    "HydrogenPeaks",
    "Refinement",
    "RefinementSettings",
    "Resampled",
    "held_out_r1",
    "held_out_set",
    "hydrogen_peaks",
    "refine",
    "refine_resampled",
]
