"""
Correction before scaling, after it, or not at all: which gives the better structure.

Modules:
    best_files: the best branch for SHELXL, SHELXT, Olex2 and Jana
    branches: the ways from integrated to merged intensities that are compared
    common_set: merged intensities of all branches on common reflections
    comparison: all of it, from files to results
    differences: R1 of branches, resampled over crystals
    given_files: the files that the programs of the branches are given
    input_data: data whose branches can be compared
    known_structure: the structure, brought onto the reflections
    merged_output: amplitudes as the correction itself merges them
    parameters: the parameters of the command
    programs: the real programs, run side by side, and their results kept
    reasons: where branches differ: error model, scales, reflections
    results: what is asked for and what is given
    shelx_runs: SHELXT and SHELXL, where they are on PATH
    side_by_side: refinement, solution and spread of all branches on all cores
    solved_here: a structure where none is given
    spread_of_branch: how large the spread of a branch is
    structure_tests: refinement and solution of one branch
    verdict: which branch to take, in a sentence
"""

from __future__ import annotations
