"""
What dials.ml_correct writes.

Modules:
    before_after: one correction as two data sets, before and after
    correction_outputs: from the results of dials.ml_correct to its log and its files
    correction_sections: the sections of the report, in the order they are read
    correction_sentences: what a correction did, in sentences
    correction_tables: what a correction did, in tables
    correction_verdict: whether amplitudes became better, and what to do next
    damage_sentences: what is said of beam damage
    doubts_of_structures: what makes a second correction doubtful
    expected_sentences: which R1 is to be expected
    hand_sentences: which hand of a structure the data agree with
    lorentz_sentences: the Lorentz factor, and how the data were measured
    plots_amplitudes: |F| before and after, predicted errors, Fo against Fc
    plots_correction: what was changed, and R1 before and after
    plots_crystals: crystals beside each other
    plots_merging: merging statistics, Wilson plot and N(z)
    plots_training: plots of a model trained on the data
    refined_structure_report: the structure refined against corrected intensities
    rejected_sentences: what became of outliers of dials.scale, and of gross ones
    solved_structure_sentences: how a structure was solved for the second correction
    structure_reflections: how much of each amplitude came from a structure
    training_outputs: from a model that was trained on the data, and its test, to log
        and files
    training_sentences: what a model trained on the data is worth, in words
    training_tables: what a model trained on the data is worth, in tables
    with_structure_report: what a second correction with a provisional structure found
"""

from __future__ import annotations
