"""
From the results of dials.compare_images to files.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Sequence

from dials.array_family import flex

from dials_spread.comparison import Comparison
from dials_spread.output_files import write_bytes, write_folder, write_text
from dials_spread.report.compare_images import log_tables, sentences
from dials_spread.report.compare_images.document import (
    comparison_document,
    match_documents,
)
from dials_spread.report.compare_images.findings import spread_findings
from dials_spread.report.compare_images.frames import crystal_names
from dials_spread.report.compare_images.origins.origins_findings import origin_findings
from dials_spread.report.compare_images.origins.origins_section import (
    origin_sections,
    origin_tables,
)
from dials_spread.report.compare_images.page import compare_images_page, save_figures
from dials_spread.report.compare_images.pictures import build_picture
from dials_spread.report.compare_images.spread.explained_section import (
    simulation_section,
)
from dials_spread.report.compare_images.spread.spread_document import spread_documents
from dials_spread.report.compare_images.spread.spread_section import spread_section
from dials_spread.report.compare_images.spread.spread_tables import spread_tables
from dials_spread.report.page.document import Provenance, write_json
from dials_spread.report.page.explained import explained_sentence
from dials_spread.report.page.sections import Section
from dials_spread.spread.origins import as_documents

logger = logging.getLogger("dials.spread.report")


def comparison_as_dict(
    comparison: Comparison, provenance: Provenance, most: int | None = None
) -> dict:
    """
    Give the results as the JSON document.

    Args:
        comparison: The results.
        provenance: Command, files and parameters.
        most: Pairs described, the first ones; all by default.

    Returns:
        The document.
    """
    matches = match_documents(
        comparison.observations,
        comparison.incidence.operators,
        comparison.matches,
        comparison.agreement,
        comparison.significance,
        most,
    )
    return comparison_document(
        provenance,
        comparison.observations,
        matches,
        len(comparison.matches),
        comparison.summary,
        comparison.summary_same,
        comparison.scales,
        {
            **spread_documents(
                comparison.observations, comparison.spread, comparison.significance
            ),
            **as_documents(comparison.origins),
            "simulation": comparison.simulation and comparison.simulation.as_dict(),
        },
    )


def plain_findings(comparison: Comparison) -> list[str]:
    """
    Say in plain words how large the spread is and where it comes from.

    Args:
        comparison: The results.

    Returns:
        Paragraphs.
    """
    near = comparison.matches.beam_angle <= comparison.matching.same_orientation
    findings = spread_findings(
        comparison.observations, comparison.spread, comparison.significance, near
    )
    findings += origin_findings(comparison.origins)
    if comparison.simulation is not None:
        told = explained_sentence(comparison.simulation.as_dict())
        findings.append(f"Does multiple scattering explain it? {told}")
    return findings


def page_sections(comparison: Comparison) -> list[Section]:
    """
    Lay out what the page shows beyond matches and pairs.

    Args:
        comparison: The results.

    Returns:
        The sections.
    """
    names = crystal_names(comparison.experiments)
    sections = [spread_section(comparison.observations, comparison.spread, names)]
    sections += origin_sections(comparison.observations, comparison.origins)
    if comparison.simulation is not None:
        sections.append(simulation_section(comparison.simulation))
    return sections


def summary_sentences(comparison: Comparison, reference: dict | None) -> list[str]:
    """
    Say what was found in plain words.

    Args:
        comparison: The results.
        reference: The document of an earlier run, or None.

    Returns:
        Sentences.
    """
    told = sentences.describe_input(comparison.observations)
    told += sentences.describe_matches(comparison)
    told += sentences.describe_agreement(comparison)
    if reference is not None:
        told += sentences.describe_contrast(comparison.summary_same, reference)
    return told


def log_results(
    comparison: Comparison,
    document: dict,
    told: Sequence[str],
    findings: Sequence[str],
) -> None:
    """Write the tables, the summary and the findings to the log."""
    if document["input"]["dropped"]:
        logger.info("\n%s", log_tables.dropped_table(document))
    if comparison.observations.outside_scan:
        logger.info(
            "%d observations have their centroid beyond an end of the scan and count "
            "for its first or last image.",
            comparison.observations.outside_scan,
        )
    logger.info("\n%s", log_tables.input_table(document))
    if document["matches"]:
        logger.info("\nThe best pairs (an image is dataset / crystal / frames):\n")
        logger.info(log_tables.matches_table(document["matches"]))
        logger.info("\n%s", log_tables.agreement_table(comparison))
    if len(document["matches"]) < len(comparison.matches):
        logger.info(
            "The JSON file holds the best %d of %d pairs (output.max_matches)",
            len(document["matches"]),
            len(comparison.matches),
        )
    tables = spread_tables(comparison.spread) + origin_tables(comparison.origins)
    for table in tables:
        logger.info("\n%s", table)
    logger.info("\nSummary:\n\n%s\n", "\n\n".join(told))
    if findings:
        logger.info("In plain words:\n\n%s\n", "\n\n".join(findings))


def build_pictures(comparison: Comparison, folders: Sequence[str], raw: bool) -> list:
    """
    Draw the images of the pairs that are shown, where they can be read.

    Args:
        comparison: The results.
        folders: Where else to look for the raw images.
        raw: False draws none.

    Returns:
        For each pair a picture or None.
    """
    if not raw:
        return [None] * len(comparison.spots)
    pictures = [
        build_picture(comparison.experiments, comparison.observations, spots, folders)
        for spots in comparison.spots
    ]
    reasons = [p.reason for p in pictures if p.reason]
    if reasons:
        logger.info(
            "%d of %d pairs are drawn from predicted positions, without raw images. %s",
            len(reasons),
            len(pictures),
            reasons[0],
        )
    return pictures


def write_results(
    comparison: Comparison,
    provenance: Provenance,
    output,
    log: io.StringIO,
    reference: dict | None = None,
    raw_images: bool = True,
    filtered: flex.reflection_table | None = None,
) -> None:
    """
    Write log, JSON, report and figures.

    Everything is made before the first file is written, each whole or not at all.

    Args:
        comparison: The results.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        log: What has been logged.
        reference: The document of an earlier run.
        raw_images: Draw pairs from the raw images where they can be read.
        filtered: Reflections with noisy spots set aside, for output.filtered.
    """
    document = comparison_as_dict(comparison, provenance, output.max_matches)
    told = summary_sentences(comparison, reference)
    folders = sorted({os.path.dirname(f) or "." for f in provenance.files})
    pictures = build_pictures(comparison, folders, raw_images)
    contents = (
        comparison.observations,
        comparison.incidence.operators,
        comparison.matches,
        comparison.agreement,
        comparison.spots,
        pictures,
    )
    findings, sections = plain_findings(comparison), page_sections(comparison)
    log_results(comparison, document, told, findings)
    files = {}
    if filtered is not None:
        files[output.filtered] = filtered.as_msgpack()
    if output.json:
        files[output.json] = write_json(document).encode("utf-8")
    if output.html:
        page = (told, document, reference, findings, sections)
        files[output.html] = compare_images_page(*contents, *page).encode("utf-8")
    figures = []
    if output.figures:
        figures = write_folder(
            output.figures,
            lambda made: save_figures(
                made, output.figure_format, *contents, reference, sections
            ),
        )
    for filename, content in files.items():
        write_bytes(filename, content)
    for filename in [*files, *figures]:
        logger.info("Written: %s", filename)
    if output.log:
        write_text(output.log, log.getvalue())
