"""
The page of a command: one HTML file that needs nothing else.

plotly.js and all data are inside; the page loads nothing from anywhere, and says so to
the browser (Content-Security-Policy). All pages have one order: what was found and what
to do next, the data, sections, parameters, files.

Functions:
    report_page: the page as text
    figure_parts, figures_parts: plots as the templates take them
    flat_parameters: nested parameters as rows
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup, escape

from dials_spread.report.page.plot_style import plain
from dials_spread.report.page.sections import Section

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"

STACKED = 2.5
"""Times the length of the steps, from which the plain words are not set beside them: half
of the page would be empty."""


def flat_parameters(parameters, prefix: str = "") -> list[tuple[str, str]]:
    """
    List nested parameters as phil would write them.

    Args:
        parameters: Dict of dicts and values, or text.
        prefix: Of the names.

    Returns:
        Names with dots, and values as text.
    """
    if not isinstance(parameters, dict):
        return [(prefix or "parameters", str(parameters))]
    rows = []
    for key, value in parameters.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        nested = isinstance(value, dict)
        rows += flat_parameters(value, name) if nested else [(name, str(value))]
    return rows


def _safe_json(plot: dict) -> Markup:
    """A plot's data for a script element: no </script>, no nan."""
    # The page sets the title itself: there it breaks into lines and hides nothing.
    layout = {k: v for k, v in plot["layout"].items() if k != "title"}
    return htmlsafe_json_dumps(
        plain({"data": plot["data"], "layout": layout}),
        allow_nan=False,
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _without_tags(text: str) -> str:
    return re.sub(r"<[^>]+>", "", text)


def figure_parts(name: str, plot: dict, alone: bool = False) -> dict:
    """
    Give what the templates need of a plot.

    Args:
        name: Unique on the page.
        plot: From plot_style.new_plot.
        alone: True gives it a row of its own.
    """
    layout = plot["layout"]
    title, _, rest = layout["title"]["text"].partition("<br>")
    note = layout["title"].get("subtitle", {}).get("text", "") or rest
    meta = layout.get("meta", {})
    classes = [kind for kind in ("wide", "square") if meta.get(kind)]
    return {
        "name": name,
        "json": _safe_json(plot),
        "classes": " ".join(classes + ["alone"] * alone),
        "alone": alone and bool(meta.get("square")),
        "height": layout["height"],
        "help": " ".join(plot["help"].split()),
        "title": _without_tags(title),
        "note": _without_tags(note),
    }


def figures_parts(plots: Mapping[str, dict], prefix: str = "") -> list[dict]:
    """
    Lay plots out two in a row; one that would be left alone takes the whole row.

    Args:
        plots: By name.
        prefix: Of the names.

    Returns:
        What the templates need, in the same order.
    """
    names, parts, first = list(plots), [], True
    wide = [bool(plots[n]["layout"].get("meta", {}).get("wide")) for n in names]
    for i, name in enumerate(names):
        last = i + 1 == len(names) or wide[i + 1]
        parts.append(
            figure_parts(prefix + name, plots[name], first and last and not wide[i])
        )
        first = True if wide[i] or not first else last
    return parts


def _marked(text: str) -> Markup:
    """Set what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def get_template(name: str) -> jinja2.Template:
    """Give a template of this folder; names it does not get are errors."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = _marked
    return environment.get_template(name)


def static_text(name: str) -> str:
    """Give a file of the folder `static` as text."""
    return (STATIC / name).read_text(encoding="utf-8")


def plotly_facts() -> dict[str, str]:
    """Give package, version, registry, sha256, licence and traces of plotly.js."""
    rows = [
        line.split(": ", 1) for line in static_text("plotly-basic.txt").splitlines()
    ]
    return dict(rows)


def _length(paragraphs: Sequence[str]) -> int:
    """Letters, and about a line for each paragraph."""
    return sum(len(text) + 60 for text in paragraphs)


def report_page(
    document: Mapping,
    title: str,
    *,
    verdict: Sequence[str] = (),
    next_steps: Sequence[str] = (),
    summary: Sequence[str] = (),
    facts: Sequence[tuple[str, str]] = (),
    sections: Sequence[Section] = (),
    written: Sequence[tuple[str, str]] = (),
    template: str = "base.html",
    **more,
) -> str:
    """
    Write the page of a command.

    Texts are plain; what stands between backticks is set as code.

    Args:
        document: The JSON document, for command, versions, parameters and input files.
        title: Of the page.
        verdict: Paragraphs for the top, in plain words; a question at the beginning of
            one is set in bold.
        next_steps: What the reader does next, step by step; a command line stands on a
            line of its own.
        summary: Sentences about the data.
        facts: Names and values beside these.
        sections: In their order.
        written: Names of the files written and what each is for.
        template: That of the command, where it has more than all.
        more: For that template.

    Returns:
        HTML that needs no other file and no network.
    """
    parts = [
        {**vars(s), "figures": figures_parts(s.plots), "tables": list(s.tables)}
        for s in sections
    ]
    return get_template(template).render(
        title=title,
        verdict=list(verdict),
        next_steps=list(next_steps),
        stacked=_length(verdict) > STACKED * _length(next_steps),
        summary=list(summary),
        facts=list(facts),
        sections=parts,
        written=list(written),
        files=[str(name) for name in document.get("input", {}).get("files", [])],
        parameters=flat_parameters(document.get("parameters", {})),
        command=document.get("command", ""),
        version=document.get("version", ""),
        dials_version=document.get("dials_version", ""),
        plotly=Markup(static_text("plotly-basic.min.js")),
        plotly_version=plotly_facts()["version"],
        style=Markup(static_text("report.css")),
        script=Markup(static_text("report.js")),
        **more,
    )
