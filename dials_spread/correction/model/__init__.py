"""
Models that give corrected amplitudes from features, and the file that holds one.

Packages:
    network: a network over the set of a reflection's observations

Modules:
    boosting: scikit-learn's boosted trees, each fit in one thread
    card: what a model file says of itself, and what may be in it
    estimator: a regressor that says how sure it is, and does nothing where it is not
    evidence: whether the data themselves show multiple scattering
    forest: boosted trees as plain arrays, independent of the library that grew them
    general: the general model, for compounds that were never seen, in one model file
    leaf_masks: what small trees predict, without walking through them
    model_file: model files that may be untrusted input
    posterior: amplitudes and intensities that cannot be negative, and their σ
    shrinkage: how far an ensemble is to be believed
    tree_model: two models, one of observations and one of reflections
"""

from __future__ import annotations
