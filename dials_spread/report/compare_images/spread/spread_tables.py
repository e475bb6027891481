"""
The tables of the log that are about the spread.

Functions:
    spread_tables: all of them
"""

from __future__ import annotations

import numpy as np
from tabulate import tabulate

from dials_spread.report.compare_images.spread.plots_sources import LABELS
from dials_spread.report.page.labels import digits
from dials_spread.spread.analysis import SWITCHED_OFF, SpreadAnalysis
from dials_spread.spread.size.size import SizeColumns, SpreadSize
from dials_spread.spread.sources.components import SOURCES, Components
from dials_spread.spread.variogram.curves import FEWEST_PAIRS
from dials_spread.spread.variogram.variogram import Variogram

STYLE = {"tablefmt": "rst", "disable_numparse": True}

MOST_CRYSTALS = 30
"""Crystals listed; all are in the JSON file."""


def _interval(low: float, high: float) -> str:
    return f"{digits(low)} – {digits(high)}"


def size_table(size: SpreadSize) -> str:
    """Give s over all, by intensity, by resolution and by crystal."""
    rows = []

    def add(name: str, columns: SizeColumns, label) -> None:
        for i in range(len(columns)):
            rows.append(
                [
                    name if i == 0 else "",
                    label(columns, i),
                    digits(columns.s[i]),
                    _interval(columns.s_low[i], columns.s_high[i]),
                    digits(columns.s_robust[i]),
                    digits(columns.deviation[i]),
                    columns.n[i],
                    columns.crystals[i],
                ]
            )

    def limits(columns, i):
        return f"{digits(columns.low[i])} – {digits(columns.high[i])}"

    add("all", size.overall, lambda columns, i: "")
    add("by mean intensity", size.by_intensity, limits)
    add("by resolution [Å]", size.by_resolution, limits)
    if len(size.by_crystal) <= MOST_CRYSTALS:
        add("by crystal", size.by_crystal, lambda columns, i: str(columns.number[i]))
    header = ["spread", "", "s", "95 %", "robust", "|I/μ - 1|", "observations"]
    return tabulate(rows, [*header, "crystals"], **STYLE)


def variogram_table(variogram: Variogram) -> str:
    """Give the bins that have pairs."""
    rows = [
        [
            f"{variogram.low[i]:g} – {variogram.high[i]:g}",
            digits(variogram.gamma[i]),
            _interval(variogram.gamma_low[i], variogram.gamma_high[i]),
            digits(variogram.robust[i]),
            variogram.pairs[i],
            variogram.crystals[i],
        ]
        for i in np.flatnonzero(variogram.pairs >= FEWEST_PAIRS)
    ]
    header = [
        f"angle [°], {variogram.kind}",
        "γ",
        "95 %",
        "robust",
        "pairs",
        "crystals",
    ]
    text = tabulate(rows, header, **STYLE)
    if variogram.reason:
        return f"{text}\nNo curve is fitted: {variogram.reason}"
    named = (
        ("nugget", variogram.nugget),
        ("sill", variogram.sill),
        ("range [°]", variogram.range),
        ("share that depends on the orientation", variogram.share),
    )
    fitted = "; ".join(f"{n} {digits(v)} ({_interval(a, b)})" for n, (v, a, b) in named)
    return f"{text}\n{variogram.shape.capitalize()} curve: {fitted}."


def components_table(components: Components) -> str:
    """Give the sources with their shares."""
    rows = []
    for source in SOURCES:
        p = getattr(components, source)
        rows.append(
            [
                LABELS[source],
                digits(p.variance),
                _interval(p.variance_low, p.variance_high),
                digits(p.share),
                _interval(p.share_low, p.share_high),
                p.reason,
            ]
        )
    header = ["source", "variance", "95 %", "share", "95 %", ""]
    return tabulate(rows, header, **STYLE)


def spread_tables(spread: SpreadAnalysis) -> list[str]:
    """
    Give the tables about the spread.

    Args:
        spread: The results.

    Returns:
        Tables as text, and a line for each part that is empty.
    """
    tables = []
    if spread.size:
        tables.append(size_table(spread.size))
    if spread.variograms:
        tables.append(variogram_table(spread.variograms.main))
    if spread.components:
        tables.append(components_table(spread.components))
    tables += [
        f"{key}: {reason}"
        for key, reason in spread.reasons.items()
        if reason != SWITCHED_OFF
    ]
    return tables
