"""
Spots that disagree most, and what leaving them out does.

Modules:
    agreement: s, R_meas and CC½ of unmerged intensities, or of some of them
    cluster_check: would a single class of reflections have given as many clusters?
    clusters: how many kinds of reflections there are, by their spread
    filtered: A reflection table with noisy spots set aside
    noisy: noisy spots
    removal: does it help to leave something out?
"""

from __future__ import annotations
