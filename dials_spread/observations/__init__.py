"""
Reflection tables in, one table of observations out.

Modules:
    builder: the entry point, build_observations
    canonical_order: an order of crystals and observations, however they are given
    correction_state: which rows of a table dials.ml_correct has corrected
    crystals: whether crystals can be compared at all
    crossings: crossings of the Ewald sphere that overlapping frames list several times
    error_model: σ of scaled intensities before dials.scale enlarged them
    exchanged_axes: crystals whose axes were exchanged when they were indexed
    images: which observation is on which image
    indices: Miller indices in the asymmetric unit
    intensities: which intensity is used, which reflections are left out, where they are
    lorentz_polarisation: whether the column lp is the factor that it should be
    reading_on_workers: files read where the workers of a cluster are
    rejected: which observations dials.scale rejected as outliers
    right_factors: the right factor in place of a column lp that is something else
    table: the table of observations that all stages hand on, and its verbs
"""

from __future__ import annotations

from dials_spread.observations.builder import Choices, build_observations
from dials_spread.observations.images import Images
from dials_spread.observations.indices import unique_indices
from dials_spread.observations.table import Geometry, Observations

__all__ = [
    "Choices",
    "Geometry",
    "Images",
    "Observations",
    "build_observations",
    "unique_indices",
]
