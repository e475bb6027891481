"""
The sections of the report of a correction, in the order in which they are read.

Functions:
    correction_sections: of the page
    log_tables: of the log
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.report.ml_correct.before_after import BeforeAfter
from dials_spread.report.ml_correct.correction_sentences import MERGED_HOW
from dials_spread.report.ml_correct.correction_tables import (
    changes_tables,
    merging_table,
    most_changed_table,
    reference_tables,
)
from dials_spread.report.ml_correct.plots_amplitudes import (
    before_after_plot,
    error_plots,
    most_changed_plot,
    reference_plot,
)
from dials_spread.report.ml_correct.plots_correction import (
    changes_plot,
    factors_plot,
    images_r1_plot,
    shells_r1_plot,
)
from dials_spread.report.ml_correct.plots_crystals import (
    CrystalDots,
    crystals_merge_plot,
    crystals_r1_plot,
)
from dials_spread.report.ml_correct.plots_merging import (
    distribution_plot,
    merging_plots,
    wilson_plot,
)
from dials_spread.report.page.tables import TextTable


@dataclass(frozen=True)
class PageSection:
    """
    A section of the page: plots first, then tables.

    Attributes:
        name: For links.
        title: Above it.
        plots: By name.
        tables: Below the plots.
        note: Sentences below the title; empty for none.
    """

    name: str
    title: str
    plots: Mapping[str, dict] = field(repr=False)
    tables: Sequence[TextTable] = ()
    note: str = ""


def correction_sections(
    result: CorrectionResult, pair: BeforeAfter
) -> list[PageSection]:
    """
    Draw and tabulate a correction.

    Args:
        result: The correction.
        pair: The same as two data sets.
    """
    plots = {"before_after": before_after_plot(pair), "changes": changes_plot(pair)}
    plots |= {"factors": factors_plot(result)} | error_plots(pair)
    by_resolution, by_strength, by_crystal = changes_tables(result)
    sections = [
        PageSection("amplitudes", "Amplitudes", plots, (by_resolution, by_strength)),
    ]
    if result.truth is not None:
        sections.append(_reference_section(result, result.truth, pair))
    plots = {"wilson": wilson_plot(pair), "n_z": distribution_plot(pair)}
    return [
        *sections,
        PageSection(
            "merging",
            "Merging statistics",
            merging_plots(pair),
            (merging_table(pair),),
            MERGED_HOW,
        ),
        PageSection("distribution", "Distribution of intensities", plots),
        PageSection(
            "reflections",
            "Reflections that changed most",
            {"most_changed": most_changed_plot(pair)},
            (most_changed_table(pair),),
        ),
        *_crystals_section(pair, by_crystal),
    ]


def _crystals_section(pair: BeforeAfter, table: TextTable) -> list[PageSection]:
    """Put crystals beside each other, where there are several."""
    if len(pair.before.r_merge_crystal) < 2:
        return []
    plots = {"crystals_merge": crystals_merge_plot(pair)}
    return [PageSection("crystals", "Crystals", plots, (table,))]


def _reference_section(
    result: CorrectionResult, truth: ReferenceCheck, pair: BeforeAfter
) -> PageSection:
    plots = {"amplitudes": reference_plot(result, truth, pair)}
    plots |= {"shells_r1": shells_r1_plot(truth), "images_r1": images_r1_plot(truth)}
    if len(truth.before.crystal) > 1:
        plots["crystals_r1"] = crystals_r1_plot(_crystal_dots(truth))
    title = "Against kinematic Fc of the reference"
    return PageSection("reference", title, plots, tuple(reference_tables(truth)))


def _crystal_dots(truth: ReferenceCheck) -> list[CrystalDots]:
    pairs = {"scaled": (truth.before.crystal, truth.after.crystal)}
    if truth.integrated is not None:
        pairs["integrated"] = truth.integrated
    return [
        CrystalDots(
            kind, [f"crystal {c}" for c in range(len(a))], before=a.r1, after=b.r1
        )
        for kind, (a, b) in pairs.items()
    ]


def log_tables(result: CorrectionResult, pair: BeforeAfter) -> list[TextTable]:
    """
    Give the tables of the log.

    Args:
        result: The correction.
        pair: The same as two data sets.
    """
    tables = [merging_table(pair), most_changed_table(pair), *changes_tables(result)]
    return tables + ([] if result.truth is None else reference_tables(result.truth))
