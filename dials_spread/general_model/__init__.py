"""
The general model: its training set, and its training, on random synthetic crystals alone.

Modules:
    compounds: simulate a random compound once, at several thicknesses
    engines: what is fitted
    errors: how far a corrected amplitude is to be trusted, judged by what came out of
        fold
    families: families of random compounds, told apart by their seeds
    faults: what is wrong with a virtual experiment, and how much
    gather: features and kinematic amplitudes of virtual experiments, as files
    out_of_fold: what models do for random compounds that they have not seen
    train: train the general model on random synthetic crystals alone
    virtual: experiments with noise from a simulated compound
"""

from __future__ import annotations
