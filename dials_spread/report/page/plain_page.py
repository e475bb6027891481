"""
A page of sentences, tables and plots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from dials_spread.report.page.tables import TextTable
from dials_spread.report.page.template import (
    TEMPLATES,
    figure_parts,
    flat_parameters,
    get_template,
)


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
        tables: Below them.
        plots: By name.

    Returns:
        HTML that needs no other file and no network.
    """
    return get_template("simulate_ed.html").render(
        title=title,
        summary=list(summary),
        tables=list(tables),
        figures=[figure_parts(name, plot) for name, plot in plots.items()],
        parameters=flat_parameters(document.get("parameters", {})),
        command=document.get("command", ""),
        version=document.get("version", ""),
        dials_version=document.get("dials_version", ""),
        plotly=Markup(get_plotlyjs()),
        style=Markup((TEMPLATES / "compare_images.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "compare_images.js").read_text(encoding="utf-8")),
    )
