"""
What dials.compare_placement writes.

Modules:
    branch_tables: branches beside each other: merging, R1, error models, times
    difference_tables: differences between branches, and where they differ
    placement_document: the JSON document
    placement_outputs: from the results of dials.compare_placement to its log and files
    placement_sections: the sections of the report, in the order they are read
    placement_sentences: what a comparison says, in sentences
    placement_steps: what to do next
    plots_branches: R1 by shell, and Fo against Fc
    plots_differences: differences from no correction, with their intervals
    plots_structure: shifts of atoms, peaks of difference maps, solution from scratch
    structure_tables: refinement and solution of the branches, in tables
"""

from __future__ import annotations
