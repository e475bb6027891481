"""
What a model trained on the user's own data is worth, on crystals, reflections and
compounds that it has not seen.

Modules:
    compounds: which data are of which reference
    controls: what a correction must be better than to be believed
    importance: what a model rests on
    learning: what a model can learn from data with references
    scores: how good amplitudes are that a model found for what it had not seen
    splits: what a model has not seen
    train_on_data: the entry point to models of these very data, train_on
    unseen_errors: errors of what a model had not seen, and what was predicted of them
    validation: what a model that is trained on these data is worth, tested on what it
        has not seen
"""

from __future__ import annotations
