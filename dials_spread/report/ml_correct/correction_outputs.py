"""
From the results of dials.ml_correct to its log and its files.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from dials.array_family import flex
from dials.util.version import dials_version
from dxtbx.model import ExperimentList

import dials_spread
from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.corrected_files import write_together
from dials_spread.correction.apply.merged_files import merged_file
from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL
from dials_spread.observations import Observations
from dials_spread.output_files import write_text
from dials_spread.reference import Reference, ReferenceMatch
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
    CorrectionVerdict,
    correction_verdict,
    next_steps,
)
from dials_spread.report.page.document import Provenance, finite, write_json
from dials_spread.report.page.log_text import Step, log_part, steps_text, wrapped
from dials_spread.report.page.sections import Section
from dials_spread.report.page.tables import TextTable
from dials_spread.report.page.template import report_page
from dials_spread.rfactor.wilson_statistics import mixed_moment

logger = logging.getLogger("dials.spread.correction_outputs")

FILES = {
    "experiments": "experiments, for DIALS",
    "reflections": "corrected intensities, unmerged, for DIALS",
    "merged": "corrected F² and σ, merged, for structure solution and refinement",
    "model": "the model that was trained, for model=",
    "json": "all numbers, for programs",
    "html": "report",
    "log": "what was printed",
}
"""What each file of the ``output`` scope is for."""


def base_document(provenance: Provenance, observations: Observations) -> dict:
    """
    Begin the JSON document.

    Args:
        provenance: Command, files and parameters.
        observations: Of all crystals.
    """
    return {
        **version_document(provenance),
        "input": {"files": list(provenance.files), **input_document(observations)},
        "intensity": observations.choice,
        "parameters": provenance.parameters,
    }


def version_document(provenance: Provenance) -> dict:
    """Name the command and the versions."""
    return {
        "command": provenance.command,
        "version": dials_spread.__version__,
        "dials_version": dials_version(),
    }


def input_document(observations: Observations) -> dict:
    """Describe the observations of one compound."""
    return {
        "crystals": observations.n_crystals,
        "images": len(observations.images),
        "observations": len(observations),
        "unique": len(observations.unique_index),
        "dropped": observations.dropped,
        "space_group": str(observations.space_group.info()),
        "unit_cell": list(observations.unit_cell.parameters()),
        "radiation": observations.radiation,
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
    moments = result.fourth_moments
    return finite(
        {
            **base_document(provenance, subject.observations),
            "verdict": verdict.as_dict(),
            "merging_statistics": pair.as_dict(),
            "correction": {
                "method": result.estimate.method,
                "strength": result.strength,
                "lorentz_applied_here": subject.prepared.measured.lorentz_applied_here,
                "lorentz_r_meas": {
                    f"{k:+g}": v for k, v in subject.lorentz_r_meas.items()
                },
                "scales": subject.prepared.scales.as_dict(),
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
                "predicted_r1": result.estimate.predicted_r1,
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


def reference_document(reference: Reference, found: ReferenceMatch) -> dict:
    """Describe a reference and its settings."""
    return {**reference.as_dict(), **found.as_dict()}


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


@dataclass(frozen=True)
class PageParts:
    """
    What the page and the log are made of, in the order of the page.

    Attributes:
        title: Of the page.
        headline: The verdict in one line.
        reasons: Sentences below it.
        warnings: What must be read before anything is done.
        figures: Tables of the figures that matter.
        facts: The same as names and values, for the page.
        summary: Sentences of the log.
        data: Those of them that are about data and method, for the page.
        question: That the verdict answers.
        changed: How much was changed, for the page; empty where nothing was.
        steps: What to do next.
        sections: Plots and tables.
    """

    title: str
    headline: str
    reasons: Sequence[str]
    warnings: Sequence[str]
    figures: Sequence[TextTable]
    facts: Sequence[tuple[str, str]]
    summary: Sequence[str]
    data: Sequence[str]
    question: str
    changed: str
    steps: Sequence[Step]
    sections: Sequence[Section] = field(repr=False)


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
        changed=size_sentence(result) if result.strength > 0 else "",
        steps=next_steps(result, output, verdict),
        sections=correction_sections(result, pair),
    )


def log_parts(parts: PageParts, tables: Sequence[TextTable]) -> None:
    """
    Write the log: verdict, figures and summary first, then details.

    Args:
        parts: Of the page.
        tables: The details.
    """
    told = [parts.headline, *parts.reasons]
    told += [f"Warning: {text}" for text in parts.warnings]
    figures = [table.as_text() for table in parts.figures]
    summary = [*map(wrapped, told), *figures, *map(wrapped, parts.summary)]
    logger.info("\n%s", log_part("Summary", summary))
    logger.info(log_part("Tables", [table.as_text() for table in tables]))


def write_correction(
    result: CorrectionResult,
    corrected: tuple[ExperimentList, flex.reflection_table],
    provenance: Provenance,
    output,
    log: io.StringIO,
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

    Returns:
        The JSON document.
    """
    pair, verdict = compare(result), correction_verdict(result)
    document = correction_document(provenance, result, pair, verdict)
    parts = correction_parts(result, pair, verdict, output)
    log_parts(parts, log_tables(result, pair))
    contents = correction_files(corrected, result, output)
    add_reports(contents, document, parts, output)
    end_run(contents, parts, output, log)
    return document


def end_run(
    contents: Mapping[str, bytes], parts: PageParts, output, log: io.StringIO
) -> None:
    """Write all files; the log ends with what each is for and what to do next."""
    told = meanings([*contents], output)
    write_all(contents, output.log, log, steps_text(parts.steps), told)


def add_reports(
    contents: dict[str, bytes], document: dict, parts: PageParts, output
) -> None:
    """Add the JSON document and the page to the files that will be written."""
    if output.json:
        contents[output.json] = write_json(document).encode("utf-8")
    if output.html:
        written = meanings([*contents, output.html, *_log_name(output)], output)
        contents[output.html] = correction_page(document, parts, written)


def correction_page(document: dict, parts: PageParts, written: Mapping) -> bytes:
    """Write the report; files are told with what each is for."""
    told = [f"{parts.question} {parts.headline}", *parts.reasons]
    told += [f"What was changed? {parts.changed}"] if parts.changed else []
    told += [f"Is anything wrong? {text}" for text in parts.warnings]
    page = report_page(
        document,
        parts.title,
        verdict=told,
        next_steps=[step.on_page for step in parts.steps],
        summary=parts.data,
        facts=parts.facts,
        sections=parts.sections,
        written=list(written.items()),
    )
    return page.encode("utf-8")


def _log_name(output) -> list[str]:
    return [output.log] if output.log else []


def meanings(names: Sequence[str], output) -> dict[str, str]:
    """
    Say what each file is for.

    Args:
        names: Of files.
        output: Names of files, as the command's ``output`` scope.
    """
    known = {getattr(output, key, None): told for key, told in FILES.items()}
    return {name: known.get(name, "") for name in names}


def correction_files(
    corrected: tuple[ExperimentList, flex.reflection_table],
    result: CorrectionResult,
    output,
) -> dict[str, bytes]:
    """
    Give what was corrected as the content of files.

    Args:
        corrected: Experiments and corrected reflections.
        result: The correction, for merged intensities.
        output: Names of files.
    """
    contents = table_files(corrected, output)
    if output.merged:
        contents[output.merged] = merged_file(result, output.merged)
    return contents


def table_files(
    tables: tuple[ExperimentList, flex.reflection_table], output
) -> dict[str, bytes]:
    """
    Give experiments and reflections as the content of files.

    Args:
        tables: Experiments and their reflections.
        output: Names of files.
    """
    experiments, table = tables
    contents = {}
    if output.experiments:
        contents[output.experiments] = experiments.as_json().encode("utf-8")
    if output.reflections:
        contents[output.reflections] = table.as_msgpack()
    return contents


def write_all(
    contents: Mapping[str, bytes],
    log_name: str | None,
    log: io.StringIO,
    last: str = "",
    told: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """
    Write all files or none, then the log.

    Args:
        contents: By name.
        log_name: Of the log; None for none.
        log: What has been logged.
        last: Lines with which the log ends.
        told: What files are for, by name.
    """
    write_together(contents)
    logger.info("")
    for filename in contents:
        meaning = told.get(filename)
        logger.info("Written: %s%s", filename, f" ({meaning})" if meaning else "")
    if last:
        logger.info("\n%s", last)
    if log_name:
        write_text(log_name, log.getvalue())
