"""
Correction before scaling, after it, or not at all: which gives the better structure.

Modules:
    branches: the ways from integrated to merged intensities that are compared
    common_set: merged intensities of all branches on common reflections
    comparison: all of it, from files to results
    differences: R1 of branches, resampled over crystals
    programs: the real programs, run side by side, and their results kept
    reasons: where branches differ: error model, scales, reflections
    structure_tests: refinement and solution of each branch
    verdict: which branch to take, in a sentence
"""

from __future__ import annotations
