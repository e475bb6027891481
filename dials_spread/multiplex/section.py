"""
The section that the report of xia2.multiplex gets.

The report is a page that xia2 has written; the section is put into it, and nothing of it
is taken away.

Functions:
    figures_of: merging statistics before and after a correction
    section_html: the section
    add_section: put it into the report
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dials_spread.multiplex.releases import CITATION
from dials_spread.multiplex.step import CorrectionStep
from dials_spread.output_files import write_text
from dials_spread.report.page.labels import digits
from dials_spread.report.page.tables import TextTable
from dials_spread.report.page.template import get_template
from dials_spread.rfactor.merging_statistics import LABELS

FIGURES = (
    *("n_observations", "n_unique", "multiplicity", "completeness"),
    *("mean_i_over_sigma", "r_merge", "r_meas", "r_pim", "cc_half"),
)

CITATIONS = (
    CITATION["acta"],
    "Winter, G. et al. (2018) Acta Cryst. D74, 85-97.",
)

NOTE = (
    "The statistics are of dials.ml_correct, of the data as the step got them: integrated "
    "intensities with scales of its own before scaling, scaled ones after it, and with the "
    "Lorentz factor where it was missing. Those of xia2.multiplex, below and in the other tabs, are of the corrected data."
)

SUMMARY_TAB = re.compile(r'<div id="home"[^>]*>')
"""Where the first tab of the report begins."""


def figures_of(step: CorrectionStep) -> TextTable:
    """
    Tabulate merging statistics before and after a correction.

    Args:
        step: One that was not refused.
    """
    statistics = step.document["merging_statistics"]
    pair = [statistics[when]["overall"] for when in ("before", "after")]
    rows = [
        [LABELS[name], *(_written(some.get(name), name) for some in pair)]
        for name in FIGURES
    ]
    title = "Merging statistics before and after the correction"
    return TextTable(title, ["", "before", "after"], rows)


def _written(value: float | None, name: str) -> str:
    if value is not None and name == "completeness":
        value *= 100
    return digits(value)


def section_html(steps: Sequence[CorrectionStep], links: Mapping[Path, str]) -> str:
    """
    Write the section.

    Args:
        steps: The corrections of a run.
        links: Where the report of each will be, by its path.

    Returns:
        A piece of HTML.
    """
    parts = [
        {
            "dataset": step.dataset,
            "placement": step.placement,
            "sentences": step.sentences,
            "table": None if step.refused else figures_of(step),
            "link": links.get(step.html, "") if step.html else "",
            "text": step.text,
        }
        for step in steps
    ]
    template = get_template("xia2_section.html")
    return template.render(parts=parts, note=NOTE, citations=CITATIONS)


def with_section(page: str, section: str) -> str:
    """
    Put a section into a page.

    Args:
        page: HTML.
        section: A piece of HTML.

    Returns:
        The page with the section at the beginning of its summary, or, where there is
        none, at its end.
    """
    begins = SUMMARY_TAB.search(page)
    if begins:
        where = begins.end()
    else:
        where = page.rfind("</body>")
        where = len(page) if where < 0 else where
    return f"{page[:where]}\n{section}\n{page[where:]}"


def add_section(report: Path, section: str) -> None:
    """
    Put a section into a report.

    Args:
        report: The page; it is replaced by one that has the section.
        section: A piece of HTML.
    """
    page = report.read_text(encoding="utf-8")
    write_text(report, with_section(page, section))
