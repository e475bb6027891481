"""
What dials.ml_correct writes.

Modules:
    correction_outputs: from the results of dials.ml_correct to its log and its files
    correction_sentences: what a correction did, in words and tables
    plots_correction: plots of a correction
    plots_crystals: R1 of crystals before and after a correction, one dot for each
    plots_training: plots of a model trained on the data
    training_outputs: from a model that was trained on the data, and its test, to log
        and files
    training_sentences: what a model trained on the data is worth, in words and tables
"""

from __future__ import annotations
