"""
Statistics that know nothing of diffraction.

Modules:
    bootstrap: intervals over crystals
    false_discovery: how many of what is called significant are false
    groups: sums, means and quantiles of many groups of numbers, elements in any order
    random_numbers: random numbers in compiled loops that hold no lock
"""

from __future__ import annotations
