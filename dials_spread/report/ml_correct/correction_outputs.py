"""
From the results of dials.ml_correct to its log and its files.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Union

import numpy as np

from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.merged_files import MergedFiles, merged_files
from dials_spread.correction.apply.subject import Subject
from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL
from dials_spread.observations.rejected import REASON
from dials_spread.output_files import Content, begin_file
from dials_spread.report.ml_correct.before_after import BeforeAfter, compare
from dials_spread.report.ml_correct.correction_sections import (
    correction_sections,
    log_tables,
)
from dials_spread.report.ml_correct.correction_sentences import (
    correction_sentences,
    sentences_by_topic,
    size_sentence,
)
from dials_spread.report.ml_correct.correction_tables import facts_of, summary_table
from dials_spread.report.ml_correct.correction_verdict import (
    SOLVE_NEXT,
    CorrectionVerdict,
    correction_verdict,
    next_steps,
)
from dials_spread.report.ml_correct.damage_sentences import damage_in_short
from dials_spread.report.page.document import (
    Provenance,
    base_document,
    finite,
    reference_document,
)
from dials_spread.report.page.report_files import (
    PageParts,
    add_reports,
    end_run,
    log_parts,
)
from dials_spread.rfactor.wilson_statistics import mixed_moment
from dials_spread.stages import stage
from dials_spread.valid_input.joined_columns import JoinedColumns
from dials_spread.valid_input.stored_columns import Rewritten, column_by_column
from dials_spread.versions import experiments_file

if TYPE_CHECKING:
    from dials_spread.report.ml_correct.with_structure_report import StructureReport

logger = logging.getLogger("dials.spread.correction_outputs")

WrittenTable = Union[flex.reflection_table, Rewritten, JoinedColumns]

PROGRAM = "dials.ml_correct"

FILES = {
    "experiments": "experiments, for DIALS",
    "reflections": "intensities after the correction, unmerged, for DIALS",
    "merged": "F² and σ after the correction, merged, for structure solution and refinement",
    "refined": "refined structure with difference peaks, for SHELXL and Olex2",
    "refined_hkl": "intensities that it was refined against, in its setting",
    "refined_cif": "refined structure with standard uncertainties",
    "model": "the model that was trained, for model=",
    "json": "all numbers, for programs",
    "html": "report",
    "log": "what was printed",
}
"""What each file of the ``output`` scope is for."""


def _expected_of(result: CorrectionResult) -> dict:
    """Say which R1 is to be expected."""
    told = result.expected
    return {
        "predicted_r1": told and told.value,
        "predicted_r1_range": told and told.limits,
        "predicted_r1_full": told and told.full,
        "predicted_r1_plain": told and told.plain,
        "predicted_r1_simulated": result.estimate.simulated_r1,
    }


def _of_data(subject: Subject) -> dict:
    """Say what was found of the data before they were corrected."""
    return {
        "resolution_limit": subject.limit and subject.limit.as_dict(),
        "crystals_without_say": list(subject.outsiders),
        "outliers_of_scaling": _outliers(subject),
        "gross_outliers": subject.n_gross,
        **_lorentz(subject),
        "scales": subject.prepared.scales.as_dict(),
    }


def _outliers(subject: Subject) -> dict[str, int]:
    """Count what dials.scale had rejected: taken in, and left out."""
    taken_in = 0 if subject.taken_in is None else np.count_nonzero(subject.taken_in)
    out = subject.observations.dropped.get(REASON, 0)
    return {"taken_in": int(taken_in), "left_out": int(out)}


def _by_exponent(found: Mapping[float, float]) -> dict[str, float]:
    return {f"{k:+g}": v for k, v in found.items()}


def _lorentz(subject: Subject) -> dict:
    return {
        "experiment": subject.measurement.as_dict(),
        "lorentz_applied_here": subject.prepared.measured.lorentz_applied_here,
        "lorentz_r_meas": _by_exponent(subject.lorentz_r_meas),
        "lorentz_r_meas_precession": subject.lorentz_precession,
    }


def correction_document(
    provenance: Provenance,
    result: CorrectionResult,
    pair: BeforeAfter,
    verdict: CorrectionVerdict,
) -> dict:
    """
    Put the results together as the JSON document.

    Args:
        provenance: Command, files and parameters.
        result: The correction.
        pair: The same as two data sets.
        verdict: Of the correction.

    Returns:
        The document: "r1" with "before" and "after" is None without a reference.
    """
    subject, truth = result.subject, result.truth
    before, after = result.agreement
    moments, evidence = result.fourth_moments, result.estimate.evidence
    return finite(
        {
            **base_document(provenance, subject.observations),
            "verdict": verdict.as_dict(),
            "merging_statistics": pair.as_dict(),
            "correction": {
                "method": result.estimate.method,
                "strength": result.strength,
                "evidence": evidence and evidence.as_dict(),
                **_of_data(subject),
                "factors": result.factors.as_dict(),
                "changes": {
                    key: [c.as_dict() for c in some]
                    for key, some in result.changes.items()
                },
                "agreement": {"before": before.as_dict(), "after": after.as_dict()},
                "fourth_moment_ratio": moments[1] / moments[0],
                "fourth_moments": {
                    "before": moments[0],
                    "after": moments[1],
                    "expected": mixed_moment(pair.centric),
                },
                **_expected_of(result),
                "warnings": list(result.warnings),
            },
            "r1": None if truth is None else truth.as_dict(),
            "reference": None
            if truth is None
            else reference_document(truth.reference, truth.match),
            "validation": None,
            "features": feature_document(result),
            "model": model_document(result),
        }
    )


def feature_document(result: CorrectionResult) -> list[dict]:
    """Name the features that were used, with unit, meaning and reason."""
    if result.model is not None:
        return [dict(feature) for feature in result.model.card.features]
    if result.estimate.method == "weights":
        return [f.as_dict() for f in MODEL_1 if f.name == "coupling_10"]
    return [f.as_dict() for f in (*MODEL_1, *REFLECTION_ALL)]


def model_document(result: CorrectionResult) -> dict | None:
    """Describe the model, without its features."""
    if result.model is None:
        return None
    card = result.model.card.as_dict()
    card.pop("features")
    return {**card, "sha256": result.model.checksum}


@stage("Page")
def correction_parts(
    result: CorrectionResult, pair: BeforeAfter, verdict: CorrectionVerdict, output
) -> PageParts:
    """
    Give what the page and the log are made of.

    Args:
        result: The correction.
        pair: The same as two data sets.
        verdict: Of the correction.
        output: Names of files, as the command's ``output`` scope.
    """
    figures = summary_table(result, pair, verdict)
    return PageParts(
        title="Correction for multiple scattering",
        headline=verdict.headline,
        reasons=verdict.reasons,
        warnings=result.warnings,
        figures=[figures],
        facts=facts_of(figures),
        summary=correction_sentences(result, pair),
        data=sentences_by_topic(result, pair)["data"],
        question="Did the amplitudes improve?",
        changed=_changed(result),
        steps=next_steps(result, output, verdict),
        sections=correction_sections(result, pair),
        files=FILES,
    )


def _changed(result: CorrectionResult) -> str:
    """Say on the first screen of the page what was changed."""
    if not result.strength > 0:
        return ""
    damage = damage_in_short(result.subject.prepared.scales.decay)
    return f"{size_sentence(result)} {damage}".rstrip()


def write_correction(
    result: CorrectionResult,
    corrected: tuple[ExperimentList, WrittenTable],
    provenance: Provenance,
    output,
    log: io.StringIO,
    second: StructureReport | None = None,
) -> dict:
    """
    Write experiments, reflections, log, JSON and report.

    Everything is made before the first file is written, all of them whole or none.

    Args:
        result: The correction.
        corrected: Experiments and corrected reflections.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        log: What has been logged.
        second: What a provisional structure told; None without one.

    Returns:
        The JSON document.
    """
    # Most of the writing, while statistics are made.
    tables = table_files(corrected, output, begin=True)
    pair, verdict = compare(result), correction_verdict(result)
    document = correction_document(provenance, result, pair, verdict)
    parts = correction_parts(result, pair, verdict, output)
    told = log_tables(result, pair)
    if second is not None:
        of = (pair.miller_index, pair.d_spacing)
        section = second.section(*of)
        document["with_structure"] = finite(second.as_dict(*of))
        summary, sections = [*section.notes, *parts.summary], [section, *parts.sections]
        steps = [step for step in parts.steps if step is not SOLVE_NEXT]
        steps += second.steps(output)
        changed = f"{parts.changed} {second.in_short()}".strip()
        parts = replace(
            parts, summary=summary, sections=sections, steps=steps, changed=changed
        )
        told = [*section.tables, *told]
    log_parts(parts, told)
    columns = second.merged_columns(result.strength) if second else {}
    merged = merged_files(result, output, columns)
    document["correction"]["merged_file"] = merged.figures
    contents = correction_files(tables, merged)
    contents.update(second.files if second else {})
    add_reports(contents, document, parts, output)
    end_run(contents, parts, output, log)
    return document


def correction_files(
    tables: Mapping[str, Content], merged: MergedFiles
) -> dict[str, Content]:
    """
    Give what was corrected as the content of files.

    Args:
        tables: From table_files.
        merged: Merged intensities as files; what is to be said of them is logged.
    """
    for sentence in merged.sentences:
        logger.info("\n%s", sentence)
    return {**tables, **merged.contents}


def table_files(
    tables: tuple[ExperimentList, WrittenTable], output, begin: bool = False
) -> dict[str, Content]:
    """
    Give experiments and reflections as the content of files.

    Args:
        tables: Experiments and their reflections.
        output: Names of files.
        begin: Begin to write reflections while something else is computed.
    """
    experiments, table = tables
    contents: dict[str, Content] = {}
    if output.reflections:
        of_files = isinstance(table, (Rewritten, JoinedColumns))
        pieces = table if of_files else column_by_column(table)
        contents[output.reflections] = (
            begin_file(output.reflections, pieces) if begin else pieces
        )
    if output.experiments:
        written = experiments_file(experiments, PROGRAM)
        contents = {output.experiments: written, **contents}
    return contents
