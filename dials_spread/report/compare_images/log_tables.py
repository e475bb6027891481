"""
The tables of the log.
"""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from dials_spread.comparison import Comparison
from dials_spread.report.page.labels import digits, document_label


def input_table(document: dict) -> str:
    """Give the crystals as a table for the log."""
    rows = [
        [c["crystal"], c["dataset"], c["images"], c["observations"], digits(c["scale"])]
        for c in document["input"]["by_crystal"]
    ]
    header = ["crystal", "dataset", "images", "observations", "scale"]
    return tabulate(rows, header, tablefmt="rst", disable_numparse=True)


def dropped_table(document: dict) -> str:
    """Give the reflections left out as a table for the log."""
    return tabulate(
        document["input"]["dropped"].items(),
        ["left out", "reflections"],
        tablefmt="rst",
    )


def matches_table(matches: Sequence[dict], most: int = 25) -> str:
    """Give the best pairs as a table for the log."""
    header = ["#", "image a", "image b", "common", "overlap", "beam °", "operator"]
    header += ["CC", "R", "χ²", "s", "s others"]
    names = ("cc", "r_factor", "chi_square", "excess_spread", "background_spread")
    rows = [
        [
            rank,
            document_label(m["image_a"]),
            document_label(m["image_b"]),
            m["n_common"],
            digits(m["overlap"], 2),
            digits(m["beam_angle"], 3),
            m["operator"],
            *(digits(m[name], 3) for name in names),
        ]
        for rank, m in enumerate(matches[:most], start=1)
    ]
    return tabulate(rows, header, tablefmt="rst", disable_numparse=True)


def agreement_table(comparison: Comparison) -> str:
    """Give the medians over pairs as a table for the log."""
    labels = {
        "scale": "scale k",
        "cc": "CC (Pearson)",
        "cc_rank": "CC (Spearman)",
        "r_factor": "R",
        "chi_square": "reduced χ²",
        "excess_spread": "s within pairs",
        "background_spread": "s to all others",
        "spread_ratio": "ratio of the two",
    }
    rows = []
    for name, label in labels.items():
        row: list[object] = [label]
        for e in (comparison.summary_same[name], comparison.summary[name]):
            interval = f"{digits(e.low)} – {digits(e.high)}"
            row += [digits(e.median), interval, e.n_pairs, e.n_crystals]
        rows.append(row)
    same = f"within {comparison.matching.same_orientation:g}°"
    header = ["median over pairs", same, "95 %", "pairs", "crystals"]
    header += ["all", "95 %", "pairs", "crystals"]
    return tabulate(rows, header, tablefmt="rst", disable_numparse=True)
