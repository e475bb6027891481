"""
From reflection tables to corrected ones, by weights or by a model.

Modules:
    against_reference: R1 before and after, against a reference
    changes: what a correction changed, and what equivalents say of it
    correct: the entry point, correct_intensities
    corrected_files: corrected tables of all crystals, joined and written
    corrected_rows: tables of which some rows are corrected, or were
    disagreement: equivalents that hardly agree
    error_law: how far corrected amplitudes are off, predicted for each reflection
    estimates: corrected amplitudes, by weights or by a model file, and the factors of
        observations that follow
    expected_r1: the R1 that is to be expected of what is written
    file_by_file: corrected tables of several files, one after the other
    merged_files: corrected amplitudes of unique reflections as a file for programs that
        solve and refine
    one_table: corrections in one reflection table: made, and taken back
    parameters: the parameters of dials.ml_correct
    row_values: what a correction does to each row of the tables
    subject: data that are to be corrected, and what must be said of them first
    table_errors: what the σ of a corrected table are made of
    tables: corrections in the tables of all crystals of a run
    taken_in: outliers of dials.scale, which are taken in unless they are gross
"""

from __future__ import annotations
