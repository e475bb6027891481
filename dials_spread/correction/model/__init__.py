"""
Models that give corrected amplitudes from features, and the file that holds one.

Packages:
    network: a network over the set of a reflection's observations

Modules:
    boosting: scikit-learn's boosted trees, each fit in one thread
    card: what a model file says of itself, and what may be in it
    estimator: A regressor that says how sure it is, and does nothing where it is not
    forest: boosted trees as plain arrays, independent of the library that grew them
    forest_bytes: the arrays of a forest as bytes, and bytes of a stranger as a forest
    general: the general model, for compounds that were never seen, in one model file
    model_file: model files that may come from a stranger
    network_bytes: the arrays of a network as bytes, and bytes of a stranger as a
        network
    shrinkage: how far an ensemble is to be believed
    store_header: the header of a model file, as a stranger may have written it
    tree_model: two models, one of observations and one of reflections
"""

from __future__ import annotations
