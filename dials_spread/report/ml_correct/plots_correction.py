"""
Plots of a correction: what it changed, and R1 before and after.

Functions:
    factors_plot: factors of observations against the strength of their reflections
    changes_plot: by resolution
    shells_r1_plot: by resolution shell
    images_r1_plot: by image
    amplitudes_plot: against those of the reference
    points, diagonal: parts of plots
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.report.page.plot_style import (
    BLUE,
    GREY,
    INK,
    RED,
    axis,
    legend_above,
    new_plot,
    sample,
    sample_note,
)

FACTORS_HELP = """
What each observed intensity was multiplied with, against the normalised amplitude E of its
reflection before (1 is average). Multiple scattering makes weak reflections too strong and
strong ones too weak, so a correction falls below 1 on the left and may rise above it on the
right. Good is a cloud that stays within a factor of about 3. Scale and Lorentz factor are
not in it.
"""

CHANGES_HELP = """
The sum of amplitudes after the correction over that before (blue), and the sum of all
changes without sign over the sum before (red), by resolution. Good is a blue line near 1
that does not run away at high resolution: the fall-off of intensities should stay what it
was.
"""

SHELLS_HELP = """
R1 of merged intensities against the reference by resolution shell, each shell with a scale
of its own. Good is a blue line below the grey one everywhere.
"""

IMAGES_HELP = """
R1 of single images against the reference: how many images have which, before (grey) and
after (blue). Good is a blue distribution that lies to the left of the grey one.
"""

AMPLITUDES_HELP = """
Merged amplitudes against those of the reference, before (grey) and after (blue). Good is a
narrow band about the dashed diagonal; a grey cloud that is bent upwards on the left shows
multiple scattering, and the blue one should follow the diagonal there.
"""


def points(x, y, colour: str, name: str, **more) -> dict:
    """Draw dots; more prevails, and its marker is added to."""
    marker = {"color": colour, "size": 5, "opacity": 0.5, **more.pop("marker", {})}
    kind = {"type": "scatter", "mode": "markers", "marker": marker}
    return {**kind, "x": x, "y": y, "name": name, **more}


def diagonal(end: float) -> dict:
    """Draw a dashed line from the origin to (end, end)."""
    line = {"color": INK, "dash": "dash", "width": 1}
    ends = {"x": [0, end], "y": [0, end], "hoverinfo": "skip", "showlegend": False}
    return {"type": "scatter", "mode": "lines", "line": line, "name": "equal", **ends}


def _line(x, y, colour: str, name: str) -> dict:
    line = {"color": colour, "width": 2}
    marker = {"color": colour, "size": 7}
    kind = {"type": "scatter", "mode": "lines+markers", "line": line, "marker": marker}
    return {**kind, "x": x, "y": y, "name": name}


def _named(title: str, names: Sequence[str]) -> dict:
    """An axis on which places have names."""
    places = list(range(len(names)))
    return axis(title, tickvals=places, ticktext=list(names), tickangle=-30)


def factors_plot(result: CorrectionResult) -> dict:
    """
    Draw factors against normalised amplitudes.

    Args:
        result: The correction.
    """
    prepared = result.subject.prepared
    factor = result.factors.factor
    drawn = sample(len(factor))
    E = prepared.E_k[prepared.measured.unique][drawn]
    note = sample_note(len(factor), len(drawn), "observations")
    return new_plot(
        [points(E, factor[drawn], BLUE, "observations")],
        FACTORS_HELP,
        "Factors of intensities" + (f"<br>{note}" if note else ""),
        xaxis=axis("E before", rangemode="tozero"),
        yaxis=axis("factor", type="log"),
        showlegend=False,
        margin={"l": 70, "r": 20, "t": 70, "b": 60},
    )


def changes_plot(result: CorrectionResult) -> dict:
    """
    Draw the change of amplitudes by resolution.

    Args:
        result: The correction.
    """
    prepared, shells = result.subject.prepared, result.changes["resolution"]
    places = np.arange(len(shells))
    data = [
        _line(places, [c.ratio for c in shells], BLUE, "after / before"),
        _line(places, [c.change for c in shells], RED, "size of the change"),
    ]
    return new_plot(
        data,
        CHANGES_HELP,
        f"Amplitudes after and before, {len(prepared.E_k):,} reflections",
        xaxis=_named("resolution", [c.group for c in shells]),
        yaxis=axis("of the amplitudes before", rangemode="tozero"),
        legend=legend_above(),
        margin={"l": 70, "r": 20, "t": 80, "b": 90},
    )


def shells_r1_plot(truth: ReferenceCheck) -> dict:
    """
    Draw R1 by resolution shell.

    Args:
        truth: Before and after.
    """
    shells = truth.before.shells
    told = [f"{a:.2f}–{b:.2f}" for a, b in zip(shells.d_max, shells.d_min)]
    places = np.arange(len(told))
    data = [
        _line(places, truth.before.shell.r1, GREY, "before"),
        _line(places, truth.after.shell.r1, BLUE, "after"),
    ]
    return new_plot(
        data,
        SHELLS_HELP,
        "R1 by resolution",
        xaxis=_named("d [Å]", told),
        yaxis=axis("R1", rangemode="tozero"),
        legend=legend_above(),
        margin={"l": 70, "r": 20, "t": 80, "b": 90},
    )


def images_r1_plot(truth: ReferenceCheck) -> dict:
    """
    Draw how R1 of images is distributed.

    Args:
        truth: Before and after.
    """
    data = []
    for assessment, colour, name in (
        (truth.before, GREY, "before"),
        (truth.after, BLUE, "after"),
    ):
        r1 = assessment.image.r1[(assessment.image.n >= 5)]
        count, edges = np.histogram(r1[np.isfinite(r1)], np.linspace(0, 1, 41))
        middle = 0.5 * (edges[1:] + edges[:-1])
        marker = {"color": colour, "opacity": 0.6}
        bars = {"type": "bar", "x": middle, "y": count, "width": np.diff(edges)}
        data.append({**bars, "name": name, "marker": marker})
    return new_plot(
        data,
        IMAGES_HELP,
        "R1 of single images (5 or more reflections)",
        xaxis=axis("R1"),
        yaxis=axis("images"),
        barmode="overlay",
        bargap=0,
        legend=legend_above(),
        margin={"l": 70, "r": 20, "t": 80, "b": 60},
    )


def amplitudes_plot(result: CorrectionResult, truth: ReferenceCheck) -> dict:
    """
    Draw amplitudes against those of the reference.

    Args:
        result: The correction.
        truth: Before and after.
    """
    merged = np.sqrt(np.maximum(result.subject.prepared.merged, 0))
    f_calc = truth.match.f_calc
    drawn = sample(len(f_calc))
    f_calc = f_calc[drawn]
    before = merged[drawn] * truth.before.merged.scale[0]
    after = result.F[drawn] * truth.after.merged.scale[0]
    end = float(np.nanmax(f_calc, initial=1e-6))
    return new_plot(
        [
            points(f_calc, before, GREY, "before"),
            points(f_calc, after, BLUE, "after"),
            diagonal(end),
        ],
        AMPLITUDES_HELP,
        "Amplitudes against the reference",
        xaxis=axis("|F| of the reference", rangemode="tozero"),
        yaxis=axis("|F|, scaled", rangemode="tozero"),
        legend=legend_above(),
        margin={"l": 70, "r": 20, "t": 80, "b": 60},
    )
