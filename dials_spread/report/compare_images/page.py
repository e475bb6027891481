"""
The report of dials.compare_images: one HTML file that needs nothing else.

Beyond what all pages have: the list of all pairs, and some pairs in full.

Functions:
    compare_images_page: the page as text
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dials_spread.observations import Observations
from dials_spread.pairs import Matches, PairAgreement, SpotComparison
from dials_spread.report.compare_images.document import pair_entries
from dials_spread.report.compare_images.figures import (
    find_pair,
    overview_plots,
    pair_plots,
    save_figures,
)
from dials_spread.report.compare_images.pictures import Picture
from dials_spread.report.page.labels import (
    NO_VALUE,
    digits,
    document_label,
    image_label,
)
from dials_spread.report.page.sections import Section
from dials_spread.report.page.template import figures_parts, report_page
from dials_spread.stages import stage
from dials_spread.symmetry import LaueOperators

__all__ = ["compare_images_page", "save_figures"]

MOST_ROWS = 500
"""Rows of the list of pairs; a browser sorts and filters them without delay."""

COLUMNS = (
    ("n_common", "n", "Indices in common", 0),
    ("overlap", "overlap", "n divided by the indices on the poorer image", 2),
    ("beam_angle", "angle [°]", "Between the beam directions in the crystal", 2),
    ("operator", "operator", "Takes the indices of b to those of a", None),
    ("cc", "CC", "Pearson's correlation of the intensities", 3),
    ("r_factor", "R", "Σ|a − b| / Σ ½(a + b)", 3),
    ("excess_spread", "s", "Relative spread beyond the sigmas", 3),
    ("chi_square", "χ²", "Mean squared difference over its variance; 1 is ideal", 1),
)
"""Key in the document, heading, explanation and decimals of each column."""

INPUT = {
    "radiation": "Radiation",
    "space_group": "Space group",
    "crystals": "Crystals",
    "images": "Images",
    "observations": "Observations",
    "unique": "Unique reflections",
}
"""What the table of the input shows of the document's."""


def _cell(value, decimals: int | None) -> dict:
    """What a cell shows and what it is sorted by; what is undefined comes last."""
    if decimals is None:
        return {"text": str(value), "key": str(value), "number": False}
    known = isinstance(value, (int, float)) and np.isfinite(value)
    text = f"{value:,.{decimals}f}".replace("-", "−") if known else NO_VALUE
    return {"text": text, "key": value if known else "", "number": True}


def table_rows(document: dict, anchors: dict[int, str]) -> list[dict]:
    """
    Give the rows of the list of pairs.

    Args:
        document: With ``matches``, best first.
        anchors: The place on the page of the pairs shown in full, by number.

    Returns:
        At most MOST_ROWS rows, and those of the pairs shown in full.
    """
    pairs = document["matches"]
    n_pairs = len(pairs["n_common"])
    numbers = list(range(min(MOST_ROWS, n_pairs)))
    numbers += sorted(n for n in anchors if MOST_ROWS <= n < n_pairs)
    return [
        {
            "rank": n + 1,
            "anchor": anchors.get(n),
            "a": document_label(pair["image_a"]),
            "b": document_label(pair["image_b"]),
            "cells": [_cell(pair.get(key), places) for key, _, _, places in COLUMNS],
        }
        for n, pair in zip(numbers, pair_entries(pairs, numbers))
    ]


def input_rows(document: dict) -> list[tuple[str, str]]:
    """
    Give the rows of the table of the input.

    Args:
        document: With ``input`` and ``intensity``.

    Returns:
        Names and values, as text.
    """
    given = document.get("input", {})
    rows = []
    for key, name in INPUT.items():
        if key in given:
            value = given[key]
            text = digits(value) if isinstance(value, (int, float)) else str(value)
            rows.append((name, text))
    dropped = given.get("dropped") or {}
    rows += [(f"Left out: {reason}", digits(n)) for reason, n in dropped.items()]
    return [*rows, ("Intensity in use", str(document.get("intensity", "")))]


def _facts(matches: Matches, agreement: PairAgreement, number: int | None) -> str:
    """One line about a pair."""
    if number is None:
        return ""
    a = agreement
    parts = [
        f"{matches.n_common[number]} reflections in common",
        f"beam directions {digits(matches.beam_angle[number], 2)}° apart",
        f"b turned by {digits(round(matches.in_plane_angle[number]), 3)}°"
        + (" after mirroring" if matches.mirrored[number] else ""),
        f"CC {digits(a.cc[number])} (ranks {digits(a.cc_rank[number])})",
        f"R {digits(a.r_factor[number])}",
        f"χ² {digits(a.chi_square[number])}",
        f"s {digits(a.excess_spread[number], 2)} between the two, "
        f"{digits(a.background_spread[number], 2)} against all other images",
        f"scale of b {digits(a.scale[number])}",
    ]
    return " · ".join(parts)


def _pairs_in_full(
    observations: Observations,
    matches: Matches,
    agreement: PairAgreement,
    spots: Sequence[SpotComparison],
    pictures: Sequence[Picture | None],
) -> tuple[list[dict], dict[int, str]]:
    """What the template needs of pairs shown in full, and where they stand."""
    every = (observations, matches, agreement)
    pairs, anchors = [], {}
    for i, (pair, picture) in enumerate(zip(spots, pictures)):
        number = find_pair(matches, pair)
        anchor = f"pair-{i + 1 if number is None else number + 1}"
        if number is not None:
            anchors[number] = anchor
        labels = [image_label(observations, j) for j in (pair.image_a, pair.image_b)]
        plots = pair_plots(*every, pair, picture)
        pairs.append(
            {
                "anchor": anchor,
                "rank": "–" if number is None else number + 1,
                "a": labels[0],
                "b": labels[1],
                "facts": _facts(matches, agreement, number),
                "figures": figures_parts(plots, f"{anchor}-"),
            }
        )
    return pairs, anchors


@stage("Page")
def compare_images_page(
    observations: Observations,
    incidence_operators: LaueOperators,
    matches: Matches,
    agreement: PairAgreement,
    spots: Sequence[SpotComparison],
    pictures: Sequence[Picture | None],
    summary: Sequence[str],
    document: dict,
    reference: dict | None = None,
    findings: Sequence[str] = (),
    sections: Sequence[Section] = (),
    next_steps: Sequence[str] = (),
) -> str:
    """
    Write the report.

    Args:
        observations: With the images.
        incidence_operators: Of the Laue group.
        matches: The pairs, best first.
        agreement: Of the pairs.
        spots: The pairs to be shown in full.
        pictures: One for each of these, or None.
        summary: Sentences about data and matches.
        document: The JSON document; its matches are those given, in the same order.
        reference: The JSON document of an earlier run to compare with.
        findings: Paragraphs for the top, in plain words.
        sections: Shown below the summary.
        next_steps: What the reader does next.

    Returns:
        HTML that needs no other file and no network.
    """
    pairs, anchors = _pairs_in_full(observations, matches, agreement, spots, pictures)
    overview = overview_plots(
        observations, incidence_operators, matches, agreement, reference
    )
    return report_page(
        document,
        "Images of the same orientation, compared",
        verdict=findings,
        next_steps=next_steps,
        summary=summary,
        facts=input_rows(document),
        sections=[*sections, *overview_sections(overview, len(matches))],
        template="compare_images.html",
        columns=COLUMNS,
        pairs=pairs,
        rows=table_rows(document, anchors),
        n_pairs=len(matches),
    )


def overview_sections(overview: Mapping[str, dict], n_pairs: int) -> list[Section]:
    """
    Lay out the plots of all pairs.

    Args:
        overview: From overview_plots.
        n_pairs: Without any there is nothing to agree.
    """
    names = ["orientations", *(["matched_images"] if n_pairs else [])]
    maps = {name: overview[name] for name in names}
    sections = [Section("map", "Map of the matches", "Map", plots=maps)]
    if n_pairs:
        rest = {n: plot for n, plot in overview.items() if n not in maps}
        title = "Do images of one orientation agree?"
        sections.insert(0, Section("angles", title, "Agreement", plots=rest))
    return sections
