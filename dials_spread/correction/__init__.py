"""
Intensities corrected for multiple scattering: all of dials.ml_correct but its files.

Modules:
    suitability: what a correction must not be applied to
    estimates: corrected amplitudes, by weights or by a model file
    changes: what a correction changed, and what equivalents say of it
    truth: R1 before and after, against a reference
    driver: the door, correct_intensities
    compounds: which data are of which reference
    training: the door to models of these very data, train_on
    learning: what a model can learn from data with references
    validation, scores: what such a model is worth, by splits and controls
    uncertainty, unseen_errors: how far corrected amplitudes are off
    importance: what a model rests on
    tables: from factors to reflection tables, and back
"""

from __future__ import annotations

from dials_spread.correction.driver import CorrectionResult, correct_intensities

__all__ = ["CorrectionResult", "correct_intensities"]
