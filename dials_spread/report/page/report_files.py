"""
From the parts of a report to the log and the files of a command.

Functions:
    log_parts: verdict, figures and summary, then details
    add_reports: JSON document and page, beside the other files
    parts_page: the page
    end_run, write_all: all files and the log, or none
    meanings: what each file is for
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from dials_spread.output_files import Content, Drawn, write_together
from dials_spread.report.page.document import write_json
from dials_spread.report.page.log_text import Step, log_part, steps_text, wrapped
from dials_spread.report.page.sections import Section
from dials_spread.report.page.tables import TextTable
from dials_spread.report.page.template import report_page
from dials_spread.stages import stage

logger = logging.getLogger("dials.spread.report_files")

ONE_BY_ONE = 30
"""Of more figures or frames than that only the number is told."""


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
        files: What each file of the ``output`` scope is for.
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
    files: Mapping[str, str] = field(default_factory=dict)


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


@stage("Page")
def add_reports(
    contents: dict[str, Content],
    document: dict,
    parts: PageParts,
    output,
) -> None:
    """Add the JSON document and the page to the files that will be written."""
    if output.json:
        contents[output.json] = write_json(document).encode("utf-8")
    if output.html:
        names = [*contents, output.html, *_log_name(output)]
        told = meanings(names, output, parts.files)
        contents[output.html] = parts_page(document, parts, told)


def parts_page(document: dict, parts: PageParts, written: Mapping) -> bytes:
    """
    Write the page.

    Args:
        document: The JSON document.
        parts: Of the page.
        written: What each file that is written is for, by name.
    """
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


def end_run(
    contents: Mapping[str, Content],
    parts: PageParts,
    output,
    log: io.StringIO,
) -> None:
    """Write all files; the log ends with what each is for and what to do next."""
    told = meanings([*contents], output, parts.files)
    write_all(contents, output.log, log, steps_text(parts.steps), told)


def meanings(names: Sequence[str], output, files: Mapping[str, str]) -> dict[str, str]:
    """
    Say what each file is for.

    Args:
        names: Of files.
        output: Names of files, as the command's ``output`` scope.
        files: What each of that scope is for.
    """
    known = {getattr(output, key, None): told for key, told in files.items()}
    return {name: known.get(name, "") for name in names}


def _drawn_lines(drawn: Drawn) -> list[str]:
    if len(drawn.paths) > ONE_BY_ONE:
        return [f"Written: {len(drawn.paths)} files in {drawn.paths[0].parent}"]
    return [f"Written: {path}" for path in drawn.paths]


def write_all(
    contents: Mapping[str, Content],
    log_name: str | None,
    log: io.StringIO,
    last: str = "",
    told: Mapping[str, str] = MappingProxyType({}),
    drawn: Sequence[Drawn] = (),
) -> None:
    """
    Write all files and the log, or none of them.

    Args:
        contents: By name.
        log_name: Of the log; None for none.
        log: What has been logged.
        last: Lines with which the log ends.
        told: What files are for, by name.
        drawn: Further files.

    Raises:
        OSError: One of them cannot be written; the old files are as they were.
    """
    meant = {name: told.get(name, "") for name in contents}
    lines = ["", *(f"Written: {k}{f' ({v})' if v else ''}" for k, v in meant.items())]
    for some in drawn:
        lines += _drawn_lines(some)
    if last:
        lines.append(f"\n{last}")
    # The log goes with the others, so it says what is not yet done; the screen waits.
    text = "\n".join([log.getvalue().rstrip("\n"), *lines]) + "\n"
    logs = {log_name: text.encode("utf-8")} if log_name else {}
    write_together({**contents, **logs}, drawn)
    for line in lines:
        logger.info("%s", line)
