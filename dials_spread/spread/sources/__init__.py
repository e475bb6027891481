"""
Which part of the variance each source has.

Modules:
    components: what the spread is made of
    explained: how much of the spread a simulation of multiple scattering explains
    factors: one factor for each image, and how much images and crystals differ by them
    normality: are the residuals Gaussian?
    simulated: how much of the spread is explained by intensities that stand in the
        tables themselves
    told: what may be said of each source: one rule for sentences, tables and plots
"""

from __future__ import annotations
