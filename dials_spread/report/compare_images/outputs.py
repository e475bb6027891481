"""
From the results of dials.compare_images to files.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

from dials.array_family import flex

from dials_spread.comparison import Comparison
from dials_spread.observations import Observations
from dials_spread.observations.exchanged_axes import describe_exchanged
from dials_spread.output_files import draw_files
from dials_spread.pairs import Matches, PairAgreement
from dials_spread.report.compare_images import log_tables, sentences
from dials_spread.report.compare_images.advice import what_next
from dials_spread.report.compare_images.document import (
    comparison_document,
    match_columns,
    pair_entries,
)
from dials_spread.report.compare_images.file_contents import contents_of_files
from dials_spread.report.compare_images.findings import (
    chance_findings,
    describe_worst,
    spread_findings,
)
from dials_spread.report.compare_images.frames import crystal_names
from dials_spread.report.compare_images.origins.origins_findings import origin_findings
from dials_spread.report.compare_images.origins.origins_section import (
    origin_sections,
    origin_tables,
)
from dials_spread.report.compare_images.page import compare_images_page, save_figures
from dials_spread.report.compare_images.pictures import build_picture
from dials_spread.report.compare_images.source_sentences import MIXED, sources_of
from dials_spread.report.compare_images.spread.explained_section import (
    simulation_section,
)
from dials_spread.report.compare_images.spread.spread_document import spread_documents
from dials_spread.report.compare_images.spread.spread_section import spread_section
from dials_spread.report.compare_images.spread.spread_tables import spread_tables
from dials_spread.report.page.document import Provenance
from dials_spread.report.page.explained import explained_sentence
from dials_spread.report.page.intervals import FOOTNOTE
from dials_spread.report.page.labels import counted, image_document
from dials_spread.report.page.log_text import (
    Step,
    log_part,
    steps_text,
    wrapped,
)
from dials_spread.report.page.report_files import write_all
from dials_spread.report.page.sections import Section
from dials_spread.spread.origins import as_documents
from dials_spread.spread.size.worst_images import worst_images
from dials_spread.spread.sources.told import ToldSources
from dials_spread.stages import stage
from dials_spread.symmetry import LaueOperators

logger = logging.getLogger("dials.spread.report")

PHIL = """
output {
  log = dials.compare_images.log
    .type = path
    .help = "Name of the log file. None writes no log file."
  json = dials.compare_images.json
    .type = path
    .help = "Name of the JSON file with all results, for other programs. None writes"
            "no JSON file."
  html = dials.compare_images.html
    .type = path
    .help = "Name of the report, a page for a browser that needs no network. None"
            "writes no report."
  tables = dials.compare_images.npz
    .type = path
    .help = "Name of a file with the tables of all pairs and all images, of which the"
            "JSON file holds the best pairs only: arrays pairs and images, which"
            "numpy.load reads and pandas makes tables of. None writes no such file."
  filtered = None
    .type = path
    .help = "Name of a file for all reflections, with noisy spots flagged or left out"
            "(noisy_spots.filter, noisy_spots.leave_out). None writes no such file."
  max_matches = 50000
    .type = int(value_min=1, value_max=10000000)
    .help = "Largest number of pairs in the JSON file, those with the most indices in"
            "common first."
  figures = None
    .type = path
    .help = "Name of a folder for the figures as files. None writes no figures."
  figure_format = *png svg
    .type = choice
    .help = "Format of the figures in output.figures."
}
"""

IN_LOG = 25
"""Pairs in the table of the log."""


@stage("Results as JSON")
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
        The document; long columns are arrays, with nan for what is not known.
    """
    matches = match_columns(
        comparison.observations,
        comparison.incidence.operators,
        comparison.matches,
        comparison.agreement,
        comparison.significance,
        most,
    )
    simulation = comparison.simulation
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
                comparison.observations,
                comparison.spread,
                comparison.significance,
                told_sources(comparison),
            ),
            **as_documents(comparison.origins),
            "simulation": simulation.as_dict() if simulation else None,
            "worst_images": _worst_images(comparison),
            "outliers_used": comparison.outliers_used,
            "exchanged_axes": [e.as_dict() for e in comparison.exchanged],
            "same_orientation": {
                **vars(comparison.same_orientation),
                "contrast": comparison.contrast.as_dict(),
            },
        },
    )


def _worst_images(comparison: Comparison) -> list[dict]:
    """Name the images whose s is above that of all data."""
    if comparison.spread.size is None:
        return []
    found = worst_images(comparison.observations, comparison.spread.size)
    columns = (found.image, found.s, found.q_value, found.n)
    return [
        {
            **image_document(comparison.observations, int(image)),
            **{"s": s, "q_value": q, "observations": n},
        }
        for image, s, q, n in zip(*columns)
    ]


def page_sections(comparison: Comparison) -> list[Section]:
    """
    Lay out what the page shows beyond matches and pairs.

    Args:
        comparison: The results.

    Returns:
        The sections.
    """
    names = crystal_names(comparison.experiments)
    sections = [
        spread_section(
            comparison.observations, comparison.spread, names, told_sources(comparison)
        )
    ]
    sections += origin_sections(comparison.observations, comparison.origins)
    if comparison.simulation is not None:
        sections.append(simulation_section(comparison.simulation))
    return sections


def told_sources(comparison: Comparison) -> ToldSources | None:
    """
    Choose what is said of the sources of the spread.

    Args:
        comparison: The results.

    Returns:
        What is said; None where sources were not computed.
    """
    return sources_of(
        comparison.observations,
        comparison.spread,
        comparison.contrast.shown,
        bool(comparison.exchanged),
    )


@dataclass(frozen=True)
class Summary:
    """
    What is told in sentences.

    Attributes:
        input: What was given.
        spread: How large the spread is, and where it comes from.
        pairs: How images were matched, and how well they agree.
        chance: Whether they agree better than expected by chance; the worst images.
        origins: Beam, special orientations, noisy spots, simulation.
        advice: What to do next.
    """

    input: list[str]
    spread: list[str]
    pairs: list[str]
    chance: list[str]
    origins: list[str]
    advice: list[Step]

    @property
    def findings(self) -> list[str]:
        """What stands at the top of the page, as questions with their answers."""
        return [*self.spread, *self.chance, *self.origins]

    @property
    def next_steps(self) -> list[str]:
        """What stands beside them."""
        return [step.on_page for step in self.advice]


def summarise(
    comparison: Comparison,
    reference: dict | None = None,
    files: Sequence[str] = (),
    changed: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Summary:
    """
    Say what was found in sentences.

    Args:
        comparison: The results.
        reference: The document of an earlier run, or None.
        files: Names of the input files.
        changed: Parameters that differ from their defaults, as name=value.
        notes: Sentences on what was found in the files.

    Returns:
        Sentences.
    """
    pairs = sentences.describe_matches(comparison)
    pairs += sentences.describe_agreement(comparison)
    if reference is not None:
        pairs += sentences.describe_contrast(comparison.summary_same, reference)
    observations, spread = comparison.observations, comparison.spread
    near = comparison.same_orientation.of(comparison.matches.beam_angle)
    chance = chance_findings(observations, spread, comparison.significance, near)
    if spread.size:
        chance.append(describe_worst(observations, spread.size))
    origins = origin_findings(comparison.origins)
    if comparison.simulation is not None:
        explained = explained_sentence(comparison.simulation.as_dict())
        origins.append(f"Does multiple scattering explain the spread? {explained}")
    told = spread_findings(observations, spread, comparison.contrast.shown)
    if comparison.exchanged:
        told, pairs = [*told[:1], MIXED], sentences.describe_matches(comparison)
        chance, origins = [], []
    return Summary(
        input=[
            *sentences.describe_input(observations),
            *sentences.describe_outliers(comparison),
            *notes,
            *sentences.describe_mixture(comparison),
            *filter(None, [describe_exchanged(comparison.exchanged)]),
        ],
        spread=told,
        pairs=pairs,
        chance=chance,
        origins=origins,
        advice=what_next(comparison, files, changed),
    )


def log_results(
    comparison: Comparison,
    document: dict,
    told: Summary,
    note: str = "",
) -> None:
    """Write the log: input, summary, tables, and what to do next."""
    logger.info(log_part("Input", map(wrapped, told.input)))
    if comparison.observations.outside_scan:
        logger.info(
            "%s with the centroid beyond an end of the scan: counted for its first or "
            "last image.\n",
            counted(comparison.observations.outside_scan, "observation"),
        )
    summary = [*told.spread, *told.pairs, *told.chance, *told.origins]
    logger.info(log_part("Summary", map(wrapped, summary)))
    logger.info("Tables\n------")
    tables = [log_tables.input_table(document)]
    if document["input"]["dropped"]:
        tables.append(log_tables.dropped_table(document))
    n_described = len(document["matches"]["n_common"])
    if n_described:
        best = pair_entries(document["matches"], range(min(n_described, IN_LOG)))
        tables.append(log_tables.matches_table(best))
        tables.append(log_tables.agreement_table(comparison))
    tables += spread_tables(comparison.spread, told_sources(comparison))
    tables += origin_tables(comparison.origins)
    for table in tables:
        logger.info("\n%s", table)
    logger.info("\n%s\n", wrapped(FOOTNOTE))
    if note:
        logger.info("%s\n", wrapped(note))
    if n_described < len(comparison.matches):
        logger.info(
            "The JSON file holds the best %s of %s pairs (output.max_matches).\n",
            f"{n_described:,}",
            f"{len(comparison.matches):,}",
        )
    logger.info(steps_text(told.advice))


@stage("Pictures of pairs")
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
    return pictures


def pictures_note(pictures: Sequence) -> str:
    """
    Say which pairs are drawn without their raw images, and why.

    Args:
        pictures: From build_pictures.

    Returns:
        Sentences, or nothing.
    """
    reasons = [p.reason for p in pictures if p is not None and p.reason]
    if not reasons:
        return ""
    return (
        f"{len(reasons):,} of {counted(len(pictures), 'pair')} in the report "
        f"{'is' if len(reasons) == 1 else 'are'} shown by predicted positions, without "
        f"raw images. {reasons[0]}"
    )


def _matched(
    comparison: Comparison,
) -> tuple[Observations, LaueOperators, Matches, PairAgreement]:
    """What page and figures begin with."""
    return (
        comparison.observations,
        comparison.incidence.operators,
        comparison.matches,
        comparison.agreement,
    )


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
    Write log, JSON, tables, report and figures.

    Everything is made before the first file is written, all of them whole or none.

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
    own = (provenance.files, provenance.changed, provenance.notes)
    told = summarise(comparison, reference, *own)
    folders = sorted({os.path.dirname(f) or "." for f in provenance.files})
    pictures = build_pictures(comparison, folders, raw_images)
    contents = (*_matched(comparison), comparison.spots, pictures)
    sections = page_sections(comparison)
    log_results(comparison, document, told, pictures_note(pictures))
    files = contents_of_files(
        comparison,
        document,
        lambda: compare_images_page(
            *contents, [*told.input, *told.pairs], document, reference, told.findings,
            sections, told.next_steps,
        ),
        output,
        filtered,
    )  # fmt: skip
    figures = []
    if output.figures:
        figures.append(
            draw_files(
                output.figures,
                lambda made: save_figures(
                    made, output.figure_format, *contents, reference, sections
                ),
            )
        )
    write_all(files, output.log, log, drawn=figures)
