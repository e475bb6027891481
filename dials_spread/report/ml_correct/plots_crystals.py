"""
Crystals beside each other, before and after a correction.

Functions:
    crystals_merge_plot: R_merge of the observations of each
    crystals_r1_plot: R1 of each against a reference
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials_spread.report.ml_correct.before_after import BeforeAfter
from dials_spread.report.page.plot_parts import diagonal, points
from dials_spread.report.page.plot_style import (
    BLUE,
    GREY,
    RED,
    axis,
    legend_above,
    new_plot,
)

MERGE_HELP = """
R_merge of the observations of each crystal about the means of all, before (grey) and after the
correction (blue). A crystal that stands out above the others differs from them: in thickness,
orientation, damage or indexing. Good is blue below grey for all; numbers are those of the
experiments in DIALS, from 0.
"""

CRYSTALS_HELP = """
R1 against the reference, one dot for each crystal and kind of intensities: before the
correction along x, after it along y. Below the dashed line a crystal became better. Blue
circles are intensities scaled within each crystal, red squares the integrated ones as they
came, times the same factors. Where a model was trained on these data, crystals that it has
seen are open symbols: they say nothing about other data.
"""

KINDS = {"scaled": (BLUE, "circle"), "integrated": (RED, "square")}
"""Colour and symbol of each kind of intensities."""

ENDS = ("before", "after")


@dataclass(frozen=True)
class CrystalDots:
    """
    R1 of crystals for one plot.

    Attributes:
        kind: "scaled" or "integrated" intensities.
        names: Of the crystals.
        before, after: Shape (crystals,), R1; nan where there is none.
        seen: Shape (crystals,), bool: those that a model was trained on; None where
            none was.
    """

    kind: str
    names: Sequence[str]
    before: np.ndarray
    after: np.ndarray
    seen: np.ndarray | None = None


def crystals_merge_plot(pair: BeforeAfter) -> dict:
    """
    Draw R_merge of each crystal.

    Args:
        pair: The data before and after.
    """
    numbers = np.arange(len(pair.before.r_merge_crystal))
    big = {"marker": {"size": 8, "opacity": 0.9}}
    data = [
        points(numbers, side.r_merge_crystal, colour, name, **dict(big))
        for side, colour, name in (
            (pair.before, GREY, "before"),
            (pair.after, BLUE, "after"),
        )
    ]
    few = {"dtick": 1} if len(numbers) <= 12 else {}
    return new_plot(
        data,
        MERGE_HELP,
        "R_merge of each crystal",
        xaxis=axis("number of the crystal", **few),
        yaxis=axis("R_merge", rangemode="tozero"),
        legend=legend_above(),
    )


def crystals_r1_plot(
    some: Sequence[CrystalDots], title: str = "R1 of each crystal"
) -> dict:
    """
    Draw R1 of each crystal, one dot for each kind of intensities.

    Args:
        some: Crystals, by kind of intensities, and by compound where there are several.
        title: Above the plot.
    """
    data = []
    for kind in dict.fromkeys(dots.kind for dots in some):
        own = [dots for dots in some if dots.kind == kind]
        data += _dots_of_kind(kind, own)
    finite = [x[np.isfinite(x)] for dots in some for x in (dots.before, dots.after)]
    end = 1.1 * float(np.max(np.concatenate(finite), initial=0.1))
    return new_plot(
        [*data, diagonal(end)],
        CRYSTALS_HELP,
        title,
        xaxis=axis("R1 before", range=[0, end]),
        yaxis=axis("R1 after", range=[0, end]),
        legend=legend_above(),
    )


def _dots_of_kind(kind: str, some: Sequence[CrystalDots]) -> list[dict]:
    """Draw crystals that a model had seen as open symbols, others as filled ones."""
    before, after = (np.concatenate([getattr(d, k) for d in some]) for k in ENDS)
    names = np.array([name for d in some for name in d.names])
    trained = np.concatenate(
        [np.zeros(len(d.before), bool) if d.seen is None else d.seen for d in some]
    )
    known = np.isfinite(before) & np.isfinite(after)
    colour, symbol = KINDS.get(kind, (BLUE, "circle"))
    # Without a model of these data there are neither training nor test crystals.
    apart = any(d.seen is not None and d.seen.any() for d in some)
    data = []
    for own, which, form in (
        (known & ~trained, ", test" if apart else "", symbol),
        (known & trained, ", training", f"{symbol}-open"),
    ):
        if own.any():
            marker = {"symbol": form, "size": 9, "opacity": 0.8}
            more = {"text": names[own].tolist(), "marker": marker}
            data.append(
                points(before[own], after[own], colour, f"{kind}{which}", **more)
            )
    return data
