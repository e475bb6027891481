"""
The tables of the log about input and pairs, each with a line that says what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from dials_spread.comparison import Comparison
from dials_spread.report.page.intervals import interval_cell
from dials_spread.report.page.labels import NO_VALUE, digits, document_label

MATCH_LABELS = {
    "cc": "CC",
    "r_factor": "R",
    "chi_square": "reduced χ²",
    "excess_spread": "s",
    "background_spread": "s to others",
}
"""Columns of a pair: CC, R and χ² are in pairs.agreement, s in statistics.excess_spread."""

AGREEMENT_LABELS = {
    "scale": "scale k",
    "cc": "CC (Pearson)",
    "cc_rank": "CC (Spearman)",
    "r_factor": "R",
    "chi_square": "reduced χ²",
    "excess_spread": "s within pairs",
    "background_spread": "s to all other images",
    "spread_ratio": "s within / to others, root mean squares",
}
"""Medians over pairs (pairs.summary) of what pairs.agreement computes for each; the last
from all their spots (spread.chance.same_orientation)."""


def input_table(document: dict) -> str:
    """Give the crystals, with the scales from pairs.scales.crystal_scales."""
    given = document["input"]
    several = len(given["by_crystal"]) > 1
    # What shares no reflections with the others keeps a factor of exactly one.
    unknown = 1.0 if several and given.get("intensity") != "scale" else None
    rows = [
        [
            c["crystal"],
            c["dataset"],
            f"{c['images']:,}",
            f"{c['observations']:,}",
            NO_VALUE if c["scale"] == unknown else digits(c["scale"]),
        ]
        for c in document["input"]["by_crystal"]
    ]
    header = ["crystal", "dataset", "images", "observations", "scale"]
    return (
        "Crystals (numbered from 0, as the experiments; the dataset is the number of the "
        "file;\nthe scale divides the intensities of a crystal):\n\n"
        + tabulate(rows, header, tablefmt="rst", disable_numparse=True)
    )


def dropped_table(document: dict) -> str:
    """Give the reflections left out, and why."""
    rows = [[why, f"{n:,}"] for why, n in document["input"]["dropped"].items()]
    return "Reflections left out:\n\n" + tabulate(
        rows, ["reason", "reflections"], tablefmt="rst", disable_numparse=True
    )


def matches_table(pairs: Sequence[dict]) -> str:
    """Give the best pairs as a table for the log."""
    header = ["#", "image a", "image b", "common", "overlap", "angle [°]"]
    header += ["reindexing operator", *MATCH_LABELS.values()]
    rows = [
        [
            rank,
            document_label(m["image_a"]),
            document_label(m["image_b"]),
            m["n_common"],
            digits(m["overlap"], 2),
            digits(m["beam_angle"], 3),
            m["operator"],
            *(digits(m[name], 3) for name in MATCH_LABELS),
        ]
        for rank, m in enumerate(pairs, start=1)
    ]
    return (
        "Pairs of images with the most indices in common (an image is dataset / crystal "
        "/ frames; the angle\nis between the beams in the crystal; s is the relative "
        "error not covered by σ, within the pair and\nto all other images; overlap is "
        "in-common indices over those of the smaller image):\n\n"
        + tabulate(rows, header, tablefmt="rst", disable_numparse=True)
    )


def agreement_table(comparison: Comparison) -> str:
    """Give the medians over pairs as a table for the log."""
    rows = []
    for name, label in AGREEMENT_LABELS.items():
        row: list[object] = [label]
        for e in (comparison.summary_same[name], comparison.summary[name]):
            interval = interval_cell(e.median, e.low, e.high)
            row += [digits(e.median), interval, f"{e.n_pairs:,}", e.n_crystals]
        rows.append(row)
    same = f"within {digits(comparison.same_orientation.angle, 2)}°"
    header = ["median over pairs", same, "95 %", "pairs", "crystals"]
    header += ["all pairs", "95 %", "pairs", "crystals"]
    return (
        "Agreement of matched pairs, of the same orientation and of all:\n\n"
        + tabulate(rows, header, tablefmt="rst", disable_numparse=True)
    )
