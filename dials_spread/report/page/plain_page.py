"""
A page of sentences, tables and plots, without sections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dials_spread.report.page.sections import Section
from dials_spread.report.page.tables import TextTable
from dials_spread.report.page.template import report_page


def simulation_page(
    document: dict,
    title: str,
    summary: Sequence[str],
    tables: Sequence[TextTable],
    plots: Mapping[str, dict],
) -> str:
    """
    Write the report.

    Args:
        document: The JSON document, for parameters and versions.
        title: Of the page.
        summary: Sentences for the top.
        tables: Below the plots.
        plots: By name.

    Returns:
        HTML that needs no other file and no network.
    """
    section = Section("results", "Results", "Results", plots=plots, tables=tables)
    return report_page(document, title, verdict=summary, sections=[section])
