"""
Training of the general model, on random synthetic crystals alone.

Modules:
    compounds: simulate a random compound once, at several thicknesses
    virtual: experiments with noise from a simulated compound
"""
