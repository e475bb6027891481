"""
From the results of dials.compare_placement to its log and its files.

Functions:
    write_placement: all files or none
    placement_parts: what page and log are made of
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence

from dials_spread.output_files import Content
from dials_spread.placement.results import PlacementComparison
from dials_spread.placement.side_by_side import REFINED_DRAWS
from dials_spread.report.compare_placement.branch_tables import merging_tables
from dials_spread.report.compare_placement.placement_document import placement_document
from dials_spread.report.compare_placement.placement_sections import (
    WHY,
    log_tables,
    placement_sections,
)
from dials_spread.report.compare_placement.placement_sentences import (
    data_sentences,
    facts,
    reasons,
    warnings,
)
from dials_spread.report.compare_placement.placement_steps import next_steps
from dials_spread.report.compare_placement.structure_tables import refinement_notes
from dials_spread.report.page.document import Provenance
from dials_spread.report.page.log_text import log_part
from dials_spread.report.page.report_files import (
    PageParts,
    add_reports,
    end_run,
    log_parts,
)

logger = logging.getLogger("dials.spread.placement_outputs")

FILES = {
    "ins": "structure with electron form factors, for SHELXL and Olex2",
    "hkl": "merged intensities of the best branch, HKLF 4, for SHELXL and Olex2",
    "json": "all numbers, for programs",
    "html": "report",
    "log": "what was printed",
}
"""What each file of the ``output`` scope is for."""


def start_shift(provenance: Provenance) -> float | None:
    """Give by how much atoms were moved before refinement [Å]; None if unknown."""
    told = provenance.parameters.get("refinement.start_shift")
    return None if told is None else float(told)


def bootstrap_samples(provenance: Provenance) -> str:
    """Name the bootstrap samples behind the intervals."""
    draws = provenance.parameters.get("resampling.draws")
    if draws is None:
        return "bootstrap samples"
    few = int(draws) > REFINED_DRAWS
    fewer = f" ({REFINED_DRAWS} for refined figures)" if few else ""
    return f"{int(draws)} bootstrap samples{fewer}"


def placement_parts(
    result: PlacementComparison, provenance: Provenance, output, written: Sequence[str]
) -> PageParts:
    """
    Give what the page and the log are made of.

    Args:
        result: The comparison.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        written: Names of further files that are written.
    """
    data = data_sentences(result)
    return PageParts(
        title="Correct before scaling, after it, or not at all?",
        headline=result.verdict.headline,
        reasons=reasons(result, bootstrap_samples(provenance)),
        warnings=warnings(result),
        figures=merging_tables(result),
        facts=facts(result),
        summary=[*data, *refinement_notes(result), WHY],
        data=data,
        question="What to do with these data?",
        changed="",
        steps=next_steps(result, output, written),
        sections=placement_sections(result, start_shift(provenance)),
        files=FILES,
    )


def write_placement(
    result: PlacementComparison,
    provenance: Provenance,
    output,
    log: io.StringIO,
    extra_files: Mapping[str, bytes],
) -> dict:
    """
    Write log, JSON, report and further files.

    Everything is made before the first file is written, all of them whole or none.

    Args:
        result: The comparison.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        log: What has been logged.
        extra_files: Contents by name: those of the best branch for SHELXL.

    Returns:
        The JSON document.
    """
    parts = placement_parts(result, provenance, output, [*extra_files])
    document = placement_document(provenance, result, parts.warnings)
    told = [f"{name}: {value}" for name, value in parts.facts]
    logger.info("\n%s", log_part("Input", ["\n".join(told)]))
    log_parts(parts, log_tables(result, start_shift(provenance)))
    contents: dict[str, Content] = {**extra_files}
    add_reports(contents, document, parts, output)
    end_run(contents, parts, output, log)
    return document
