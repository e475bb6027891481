"""
The sections of the report of dials.compare_placement, in the order they are read.

Functions:
    placement_sections: of the page
    log_tables: of the log
"""

from __future__ import annotations

from dials_spread.placement.results import PlacementComparison
from dials_spread.report.compare_placement.branch_tables import (
    failed_tables,
    merging_tables,
    scaling_table,
    settings_table,
    times_table,
)
from dials_spread.report.compare_placement.difference_tables import (
    difference_table,
    different_reflections_table,
)
from dials_spread.report.compare_placement.plots_branches import (
    amplitudes_plot,
    shells_plot,
)
from dials_spread.report.compare_placement.plots_differences import difference_plots
from dials_spread.report.compare_placement.plots_structure import (
    peaks_plot,
    shifts_plot,
    solution_plots,
)
from dials_spread.report.compare_placement.structure_tables import (
    has_refinement,
    has_solution,
    refinement_notes,
    refinement_tables,
    shelx_tables,
    solution_table,
)
from dials_spread.report.page.sections import Section
from dials_spread.report.page.tables import TextTable

WHY = (
    "What dials.scale can take for scale, absorption or decay, it divides out of the "
    "intensities; the rest it takes for an error (a and b of its error model, which also "
    "weight the observations), and what fits neither it rejects as an outlier. Of data "
    "that are not corrected, multiple scattering is part of all three. Corrected first, "
    "less of it should be left for that; corrected afterwards, scale factors stay as they "
    "were without correction, while what was rejected is taken in again, except for gross "
    "outliers."
)
"""Why the order matters."""


def placement_sections(
    result: PlacementComparison, start_shift: float | None
) -> list[Section]:
    """
    Draw and tabulate a comparison.

    Args:
        result: The comparison.
        start_shift: By which atoms were moved before refinement [Å]; None if unknown.
    """
    differences = Section(
        "differences",
        "How the branches differ",
        "Differences",
        plots=difference_plots(result),
        tables=difference_table(result),
    )
    sections = [
        *([differences] if result.differences else []),
        Section(
            "amplitudes",
            "Merged intensities of the branches",
            "Intensities",
            plots={"shells": shells_plot(result), "fo_fc": amplitudes_plot(result)},
            tables=[*merging_tables(result), *failed_tables(result)],
        ),
    ]
    if has_refinement(result) or refinement_notes(result):
        sections.append(_refinement(result, start_shift))
    if has_solution(result):
        sections.append(
            Section(
                "solution",
                "Solution from scratch",
                "Solution",
                plots=solution_plots(result),
                tables=solution_table(result),
            )
        )
    return [
        *sections,
        Section(
            "order",
            "Why the order matters",
            "Why",
            [WHY],
            tables=[scaling_table(result), *different_reflections_table(result)],
        ),
        Section(
            "run",
            "Structure and data, and times",
            "Times",
            tables=[settings_table(result), times_table(result)],
        ),
    ]


def _refinement(result: PlacementComparison, start_shift: float | None) -> Section:
    plots = {}
    if has_refinement(result):
        plots = {"shifts": shifts_plot(result), "peaks": peaks_plot(result)}
    return Section(
        "refinement",
        "Refinement of the structure against each branch",
        "Refinement",
        refinement_notes(result),
        plots,
        [*refinement_tables(result, start_shift), *shelx_tables(result)],
    )


def log_tables(
    result: PlacementComparison, start_shift: float | None
) -> list[TextTable]:
    """
    Give the tables of the log, but that of merging statistics, which is in its summary.

    Args:
        result: The comparison.
        start_shift: By which atoms were moved before refinement [Å]; None if unknown.
    """
    return [
        *failed_tables(result),
        *difference_table(result),
        *refinement_tables(result, start_shift),
        *shelx_tables(result),
        *solution_table(result),
        scaling_table(result),
        *different_reflections_table(result),
        settings_table(result),
        times_table(result),
    ]
