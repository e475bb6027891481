"""
What all pages are made of: the templates, and plots and parameters as these take them.
"""

from __future__ import annotations

from pathlib import Path

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from dials_spread.report.page.plot_style import plain

TEMPLATES = Path(__file__).parent / "templates"


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
    drawn = {"data": plot["data"], "layout": plot["layout"]}
    options = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}
    return htmlsafe_json_dumps(plain(drawn), **options)


def figure_parts(name: str, plot: dict) -> dict:
    """What the template needs of a plot."""
    return {
        "name": name,
        "json": _safe_json(plot),
        "wide": plot["layout"].get("meta") == "wide",
        "height": plot["layout"]["height"],
        "help": " ".join(plot["help"].split()),
        "title": plot["layout"]["title"]["text"].split("<br>")[0],
    }


def get_template(name: str) -> jinja2.Template:
    """Give a template of this folder; names it does not get are errors."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(name)
