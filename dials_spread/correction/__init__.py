"""
Intensities corrected for multiple scattering: all of dials.ml_correct but its files.

A correction in the order of its steps; the entry point is correct_intensities.

Packages:
    apply: from reflection tables to corrected ones, by weights or by a model
    features: what is known of an observation without the structure, as numbers that
        mean the same in every crystal
    model: models that give corrected amplitudes from features, and the file that holds
        one
    validate: what a model trained on the user's own data is worth, on crystals,
        reflections and compounds that it has not seen
"""

from __future__ import annotations

from dials_spread.correction.apply.correct import CorrectionResult, correct_intensities

__all__ = ["CorrectionResult", "correct_intensities"]
