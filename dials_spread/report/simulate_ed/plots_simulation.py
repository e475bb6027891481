"""
Plots of simulations beside measurements.

Functions:
    thickness_plot: R1 against thickness, crystal by crystal
    agreement_plot: observed against calculated amplitudes
    crystals_plot: R1 of each crystal, with and without multiple scattering
    explained_plot: the spread before and after a simulation
"""

from __future__ import annotations

import numpy as np

from dials_spread.report.page.plot_style import (
    BLUE,
    CRYSTAL_COLOURS,
    GREY,
    INK,
    RED,
    axis,
    legend_above,
    log_axis,
    named_axis,
    new_plot,
    sample,
    sample_note,
)
from dials_spread.thickness.fit import ShapeFit
from dials_spread.thickness.results import CrystalSimulation, MeasuredAndSimulated

MOST_CURVES = 10
"""Crystals whose curves are told apart; beyond, the first ones are drawn."""

THICKNESS_HELP = """
R1 between observed and simulated amplitudes against the thickness of the crystal, each
crystal with its own scale. Far to the left multiple scattering is negligible, and R1 is
that of kinematic amplitudes. Good is a clear minimum well below that, at the fitted
thickness (dot; the bar is its standard uncertainty). A curve that stays flat, or has its
minimum at an end, says that multiple scattering does not explain the deviations of this
crystal: wrong structure or setting, wrong orientation, or too much noise. The curves are
those of a crystal as thick from everywhere; the dot can lie below its curve where a
wedge or a plate agrees better.
"""

AGREEMENT_HELP = """
Observed amplitudes against those calculated with multiple scattering (blue) and without
(grey), each crystal on its own scale. Good is a narrow band about the diagonal. Without
multiple scattering weak reflections are measured too strong and strong ones too weak: the
grey cloud is bent, and the blue one should not be.
"""

CRYSTALS_HELP = """
R1 of each crystal with kinematic amplitudes and with multiple scattering. The dots are of
reflections that the thickness was not fitted to. Good is a bar with multiple scattering
that is much shorter, and a dot at its end: then nothing was fitted to noise.
"""


def thickness_plot(crystals: list[CrystalSimulation]) -> dict:
    """
    Draw R1 against thickness.

    Args:
        crystals: Those without a fit are left out.

    Returns:
        A plot.
    """
    fitted = [(c, c.fit) for c in crystals if c.fit is not None]
    data = []
    for i, (crystal, fit) in enumerate(fitted[:MOST_CURVES]):
        data += _curve(crystal, fit, CRYSTAL_COLOURS[i % len(CRYSTAL_COLOURS)])
    note = ""
    if len(fitted) > MOST_CURVES:
        note = f"the first {MOST_CURVES} of {len(fitted)} crystals"
    return new_plot(
        data,
        THICKNESS_HELP,
        "R1 against thickness",
        note,
        xaxis=log_axis(
            "Thickness [Å]",
            np.concatenate([np.zeros(0), *(trace["x"] for trace in data)]),
        ),
        yaxis=axis("R1 of amplitudes", rangemode="tozero"),
        legend=legend_above(),
        height=460,
    )


def _curve(crystal: CrystalSimulation, fit: ShapeFit, colour: str) -> list[dict]:
    """The curve of one crystal, and where its best shape is."""
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": f"crystal {crystal.number}",
        "x": fit.thicknesses,
        "y": fit.curve,
        "line": {"color": colour, "width": 2},
        "hovertemplate": "%{x:.0f} Å: R1 %{y:.3f}<extra></extra>",
    }
    text = f"crystal {crystal.number}: {crystal.shape.law}, {fit.shape.thickness:.0f} Å"
    dot = {
        "type": "scatter",
        "mode": "markers",
        "name": text,
        "showlegend": False,
        "x": [fit.shape.thickness],
        "y": [fit.r1],
        "error_x": {"type": "data", "array": [fit.su], "color": colour},
        "marker": {"color": colour, "size": 9},
        "hovertemplate": f"{text}: R1 %{{y:.3f}}<extra></extra>",
    }
    return [line, dot]


def agreement_plot(comparison: MeasuredAndSimulated) -> dict:
    """
    Draw observed against calculated amplitudes.

    Args:
        comparison: Observations beside their simulation.

    Returns:
        A plot; at most some thousand observations are drawn, chosen at random.
    """
    rows = np.flatnonzero(comparison.intensity > 0)
    drawn = rows[sample(len(rows), 2500)]
    observed = np.sqrt(comparison.intensity[drawn])
    data = []
    for name, colour, values in (
        ("without multiple scattering", GREY, comparison.kinematic),
        ("with multiple scattering", BLUE, comparison.dynamical),
    ):
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": np.sqrt(values[drawn]),
                "y": observed,
                "marker": {"color": colour, "size": 4, "opacity": 0.45},
                "hovertemplate": "calculated %{x:.2f}, observed %{y:.2f}"
                "<extra></extra>",
            }
        )
    top = float(np.percentile(observed, 99.5)) * 1.1 if len(drawn) else 1.0
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "showlegend": False,
            "x": [0, top],
            "y": [0, top],
            "line": {"color": INK, "width": 1},
            "hoverinfo": "skip",
        }
    )
    note = sample_note(len(rows), len(drawn), "observations")
    return new_plot(
        data,
        AGREEMENT_HELP,
        "Observed and calculated amplitudes",
        note,
        xaxis=axis("Calculated |F| [Å]", range=[0, top]),
        yaxis=axis("Observed |F| [Å], scaled", range=[0, top]),
        legend=legend_above(),
        height=460,
    )


def crystals_plot(crystals: list[CrystalSimulation]) -> dict:
    """
    Draw R1 of each crystal with and without multiple scattering.

    Args:
        crystals: All of them.

    Returns:
        A plot.
    """
    places = np.arange(len(crystals))
    numbers = [str(c.number) for c in crystals]
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": places,
            "width": np.full(len(crystals), 0.38),
            "offset": offset,
            "text": numbers,
            "textposition": "none",
            "y": [getattr(c, key) for c in crystals],
            "marker": {"color": colour},
            "hovertemplate": "crystal %{text}: R1 %{y:.3f}<extra></extra>",
        }
        for name, key, colour, offset in (
            ("without multiple scattering", "r1_kinematic", GREY, -0.4),
            ("with multiple scattering", "r1", BLUE, 0.02),
        )
    ]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "with it, held-out reflections",
        "x": places + 0.21,
        "y": [c.fit.held_out if c.fit else np.nan for c in crystals],
        "marker": {"color": RED, "size": 8},
        "text": numbers,
        "hovertemplate": "crystal %{text}: R1 %{y:.3f} of held-out reflections"
        "<extra></extra>",
    }
    return new_plot(
        [*bars, dots],
        CRYSTALS_HELP,
        "R1 of each crystal",
        xaxis=named_axis("Crystal [number]", numbers),
        yaxis=axis("R1 of amplitudes", rangemode="tozero"),
        legend=legend_above(),
        height=420,
    )
