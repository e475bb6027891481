"""
The tables of the log that are about the spread.

Functions:
    spread_tables: all of them
"""

from __future__ import annotations

import numpy as np
from tabulate import tabulate

from dials_spread.report.compare_images.spread.spread_section import PARTS
from dials_spread.report.page.intervals import interval_cell
from dials_spread.report.page.labels import NO_VALUE, counted, digits
from dials_spread.spread.analysis import SWITCHED_OFF, SpreadAnalysis, Variograms
from dials_spread.spread.size.size import SizeColumns, SpreadSize
from dials_spread.spread.sources.components import Components
from dials_spread.spread.sources.told import (
    REST_AT_ONE_ORIENTATION,
    REST_NOT_APART,
    REST_WITHIN_CRYSTAL,
    ToldSources,
    tell_sources,
)
from dials_spread.spread.variogram.curves import FEWEST_PAIRS

STYLE = {"tablefmt": "rst", "disable_numparse": True}

MOST_CRYSTALS = 30
"""Crystals listed; all are in the JSON file."""

S_LABEL = "relative error s not covered by σ"
"""s: the function is statistics.excess_spread.most_likely."""

CURVE_LABELS = {
    "nugget": "γ at 0°",
    "sill": "plateau",
    "range": "correlation angle [°]",
    "share_of_plateau": "part of the plateau that vanishes at 0° (1 − γ at 0°/plateau)",
}
"""Parameters of the curve that spread.variogram.variogram.build_variogram fits."""

FACTORS_OFF = ";\nfactors of images are taken off γ, not off the robust estimate"
"""Said of the variogram where that was done; the JSON file has both."""

SOURCE_LABELS = {
    "image": "common to an image",
    "crystal": "common to a crystal",
    "orientation": "orientation",
    "thickness": "crystals differ at one orientation (thickness, damage)",
    "noise": "counting noise",
}
"""Of the variances that spread.sources.components.variance_components estimates."""

REST_LABELS = {
    REST_AT_ONE_ORIENTATION: "same orientation, different intensity",
    REST_WITHIN_CRYSTAL: "one crystal differs at one orientation (errors not covered by σ)",
    REST_NOT_APART: "orientation or anything else: not separable here",
}
"""Of what no other source explains."""


def size_table(size: SpreadSize) -> str:
    """
    Give s over all, by intensity, by resolution and by crystal.

    s is from statistics.excess_spread.most_likely, s robust from robust_spread there, and
    median |I/⟨I⟩ − 1| from spread.size.size.absolute_deviation.

    The interval of a single crystal is from the likelihood of its observations taken as
    independent, which those of one crystal are not: with one crystal there is none.
    """
    rows = []
    single = size.overall.crystals[0] == 1

    def add(name: str, columns: SizeColumns, label) -> None:
        for i in range(len(columns)):
            rows.append(
                [
                    name if i == 0 else "",
                    label(columns, i),
                    digits(columns.s[i]),
                    NO_VALUE
                    if single
                    else interval_cell(
                        columns.s[i], columns.s_low[i], columns.s_high[i]
                    ),
                    digits(columns.s_robust[i]),
                    digits(columns.deviation[i]),
                    f"{columns.n[i]:,}",
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
    header = [
        "observations",
        "",
        "s",
        "95 %",
        "s robust",
        "median |I/⟨I⟩ − 1|",
        "number",
    ]
    intervals = (
        "No intervals: the observations of one crystal are not independent."
        if single
        else "Intervals over crystals; of a single crystal, from counting alone, its "
        "observations taken as independent."
    )
    return (
        f"Spread of symmetry equivalents: {S_LABEL} "
        f"(σ'² = σ² + (sI)²).\n{intervals}\n\n"
        + tabulate(rows, [*header, "crystals"], **STYLE)
    )


def variogram_table(variograms: Variograms) -> str:
    """
    Give the bins that have pairs, and the curve through them.

    γ of a pair is in spread.variogram.pair_table; γ at 0°, the plateau and the
    correlation angle are from spread.variogram.curves.fit_curves, the p-value from
    spread.variogram.growth.growth_p_value.
    """
    variogram = variograms.shown
    rows = [
        [
            f"{variogram.low[i]:g} – {variogram.high[i]:g}",
            digits(variogram.gamma[i]),
            interval_cell(
                variogram.gamma[i], variogram.gamma_low[i], variogram.gamma_high[i]
            ),
            digits(variograms.main.robust[i]),
            f"{variogram.pairs[i]:,}",
            variogram.crystals[i],
        ]
        for i in np.flatnonzero(variogram.pairs >= FEWEST_PAIRS)
    ]
    header = ["angle [°]", "γ", "95 %", "γ robust", "pairs", "crystals"]
    text = (
        "Variogram: disagreement γ = ½⟨(I_a − I_b)² − σ_a² − σ_b²⟩ / ⟨I⟩² of two "
        "observations of one\nreflection, against the angle between their beam "
        f"directions in the crystal ({variogram.kind}"
        f"{FACTORS_OFF if variograms.corrected else ''}).\n\n"
    )
    if rows:
        text += tabulate(rows, header, **STYLE) + "\n"
    if variogram.reason:
        return f"{text}No curve is fitted: {variogram.reason}"
    # Where no growth is shown, what a curve says of 0° is noise.
    named = CURVE_LABELS if variogram.grows else ["sill"]
    parts = [(CURVE_LABELS[n], getattr(variogram, n)) for n in named]
    curve = [[label, digits(v), interval_cell(v, a, b)] for label, (v, a, b) in parts]
    p_value = digits(variogram.growth_p_value, 2)
    curve.append(["p-value of growth with the angle", p_value, NO_VALUE])
    return f"{text}\n" + tabulate(curve, ["curve", "", "95 %"], **STYLE)


def components_table(components: Components, told: ToldSources) -> str:
    """
    Give the sources with their shares.

    Variances and shares are from spread.sources.components.variance_components.
    """
    if told.reason:
        return f"Sources of the variance: not given. {told.reason}"
    rows = []
    for source, p in told.parts.items():
        rows.append(
            [
                SOURCE_LABELS.get(source, REST_LABELS[told.rest]),
                digits(p.variance),
                interval_cell(p.variance, p.variance_low, p.variance_high),
                digits(p.share),
                interval_cell(p.share, p.share_low, p.share_high),
                p.reason,
            ]
        )
    header = ["source", "variance", "95 %", "share of all variance", "95 %", ""]
    if not any(row[-1] for row in rows):
        rows, header = [row[:-1] for row in rows], header[:-1]
    rest = (
        f"{counted(components.n_observations, 'observation')}, "
        f"{counted(components.n_pairs, 'pair')} of them, "
        f"{counted(components.n_crystals, 'crystal')}"
    )
    return (
        "Sources of the variance of one relative intensity I/⟨I⟩, counting noise "
        f"included\n({rest}):\n\n" + tabulate(rows, header, **STYLE)
    )


def spread_tables(spread: SpreadAnalysis, told: ToldSources | None = None) -> list[str]:
    """
    Give the tables about the spread.

    Args:
        spread: The results.
        told: What is said of its sources; None takes what the sources alone tell.

    Returns:
        Tables as text, and a line for each part that is empty.
    """
    tables = []
    if spread.size:
        tables.append(size_table(spread.size))
    if spread.variograms:
        tables.append(variogram_table(spread.variograms))
        tables.append(
            f"The variogram uses {spread.variograms.n_used:,} of "
            f"{spread.variograms.n_all:,} pairs of observations of one reflection on two "
            "images."
        )
    if spread.components:
        tables.append(
            components_table(spread.components, told or tell_sources(spread.components))
        )
    tables += [
        f"{PARTS.get(key, key)}: {reason}"
        for key, reason in spread.reasons.items()
        if reason != SWITCHED_OFF
    ]
    return tables
