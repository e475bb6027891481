"""
The sections of the report of a correction, in the order in which they are read.

Functions:
    correction_sections: of the page
    log_tables: of the log
"""

from __future__ import annotations

from collections.abc import Sequence

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.report.ml_correct.before_after import BeforeAfter
from dials_spread.report.ml_correct.correction_sentences import (
    MERGED_HOW,
    sentences_by_topic,
)
from dials_spread.report.ml_correct.correction_tables import (
    changes_tables,
    merging_table,
    most_changed_table,
    reference_tables,
)
from dials_spread.report.ml_correct.correction_verdict import NOT_REFINED
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
from dials_spread.report.page.sections import Section
from dials_spread.report.page.tables import TextTable


def correction_sections(result: CorrectionResult, pair: BeforeAfter) -> list[Section]:
    """
    Draw and tabulate a correction.

    Args:
        result: The correction.
        pair: The same as two data sets.
    """
    told = sentences_by_topic(result, pair)
    plots = {
        "before_after": before_after_plot(pair),
        "changes": changes_plot(result, pair),
    }
    plots |= {"factors": factors_plot(result)} | error_plots(result, pair)
    by_resolution, by_strength, by_crystal = changes_tables(result)
    sections = [
        Section(
            "amplitudes",
            "Amplitudes before and after",
            "Amplitudes",
            told["amplitudes"][1:],  # the first stands in the verdict
            plots,
            (by_resolution, by_strength),
        ),
    ]
    if result.truth is not None:
        sections.append(
            _reference_section(result, result.truth, pair, told["reference"])
        )
    plots = {"wilson": wilson_plot(pair), "n_z": distribution_plot(pair)}
    return [
        *sections,
        Section(
            "merging",
            "Merging statistics before and after",
            "Merging",
            [*told["merging"], MERGED_HOW],
            merging_plots(pair),
            (merging_table(pair),),
        ),
        Section(
            "distribution", "Wilson statistics", "Wilson", told["distribution"], plots
        ),
        *_most_changed_section(result, pair),
        *_crystals_section(pair, by_crystal),
    ]


def _most_changed_section(result: CorrectionResult, pair: BeforeAfter) -> list[Section]:
    """List what changed most, where something was changed."""
    if result.strength == 0:
        return []
    return [
        Section(
            "reflections",
            "Reflections that changed most",
            "Reflections",
            plots={"most_changed": most_changed_plot(pair)},
            tables=(most_changed_table(pair),),
        )
    ]


def _crystals_section(pair: BeforeAfter, table: TextTable) -> list[Section]:
    """Put crystals beside each other, where there are several."""
    if len(pair.before.r_merge_crystal) < 2:
        return []
    plots = {"crystals_merge": crystals_merge_plot(pair)}
    return [
        Section(
            "crystals",
            "Crystals beside each other",
            "Crystals",
            plots=plots,
            tables=(table,),
        )
    ]


def _reference_section(
    result: CorrectionResult,
    truth: ReferenceCheck,
    pair: BeforeAfter,
    told: Sequence[str],
) -> Section:
    plots = {"amplitudes": reference_plot(result, truth, pair)}
    plots |= {"shells_r1": shells_r1_plot(truth), "images_r1": images_r1_plot(truth)}
    if len(truth.before.crystal) > 1:
        plots["crystals_r1"] = crystals_r1_plot(_crystal_dots(truth))
    return Section(
        "reference",
        "Against kinematic Fc of the reference",
        "Reference",
        [*told, NOT_REFINED],
        plots,
        reference_tables(truth),
    )


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
    tables = [merging_table(pair)]
    if result.strength > 0:
        tables += [most_changed_table(pair), *changes_tables(result)]
    return tables + ([] if result.truth is None else reference_tables(result.truth))
