"""
From reflection tables to corrected ones, by weights or by a model.

Modules:
    against_reference: R1 before and after, against a reference
    changes: what a correction changed, and what equivalents say of it
    columns: corrections in reflection tables
    correct: the door, correct_intensities
    corrected_files: corrected tables of all crystals, joined and written
    error_law: how far corrected amplitudes are off, predicted for each reflection
    estimates: corrected amplitudes, by weights or by a model file
    factors: from corrected amplitudes of reflections back to an unmerged table
    merged_files: corrected amplitudes of unique reflections as a file for programs that
        solve and refine
    parameters: the parameters of dials.ml_correct
    rows: from observations to the rows of reflection tables
    suitability: what a correction must not be applied to
    tables: from factors to reflection tables, and back
"""

from __future__ import annotations
