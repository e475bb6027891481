"""
Statistics that know nothing of diffraction.

Modules:
    bootstrap: intervals over crystals
    excess_spread: s, the relative scatter beyond known errors, by maximum likelihood
    false_discovery: how many of what is called significant are false
    groups: sums, means, medians, ranks and correlations of many groups of numbers, elements in any order
    likelihood_sums: sums over many deviations for it, in compiled loops
    random_numbers: random numbers in compiled loops that hold no lock
"""

from __future__ import annotations

ONE_SIGMA = 0.6827
"""Part of normal deviates within one standard deviation."""
