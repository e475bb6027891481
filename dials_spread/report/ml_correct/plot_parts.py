"""
Parts of the plots of a correction: dots, lines, and an axis of resolution.

Functions:
    points, line, before_line, diagonal: traces
    resolution_axis: linear in 1/d², with ticks in d
    shell_middles: where shells stand on it
"""

from __future__ import annotations

import numpy as np

from dials_spread.report.page.plot_style import GREY, INK, axis
from dials_spread.rfactor.shells import Shells


def points(x, y, colour: str, name: str, **more) -> dict:
    """Draw dots; more prevails, and its marker is added to."""
    marker = {"color": colour, "size": 5, "opacity": 0.5, **more.pop("marker", {})}
    kind = {"type": "scatter", "mode": "markers", "marker": marker}
    return {**kind, "x": x, "y": y, "name": name, **more}


def before_line(x, y, name: str = "before", **more) -> dict:
    """Draw what was before: grey, and wide, so that it is seen below a line on it."""
    style = {"width": 4, **more.pop("line", {})}
    drawn = line(x, y, GREY, name, line=style, **more)
    drawn["marker"] = {"color": GREY, "size": 9}
    return drawn


def line(x, y, colour: str, name: str, **more) -> dict:
    """Draw dots joined by lines; more prevails, and its line is added to."""
    style = {"color": colour, "width": 2, **more.pop("line", {})}
    marker = {"color": colour, "size": 6}
    kind = {"type": "scatter", "mode": "lines+markers", "line": style, "marker": marker}
    return {**kind, "x": x, "y": y, "name": name, **more}


def diagonal(end: float, start: float = 0.0) -> dict:
    """Draw a dashed line from (start, start) to (end, end)."""
    line = {"color": INK, "dash": "dash", "width": 1}
    ends = {
        "x": [start, end],
        "y": [start, end],
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return {"type": "scatter", "mode": "lines", "line": line, "name": "equal", **ends}


def nice_resolutions(d_max: float, d_min: float) -> list[float]:
    """Choose d-spacings [Å] for the ticks of an axis that is linear in 1/d²."""
    wanted = np.linspace(1 / d_max**2, 1 / d_min**2, 6)[1:]
    told = [round(d, 2) for d in 1 / np.sqrt(wanted)]
    return sorted(set(told), reverse=True)


def resolution_axis(d_max: float, d_min: float) -> dict:
    """
    Describe an axis in 1/d² whose ticks are d.

    Args:
        d_max, d_min: Of the data [Å].
    """
    told = nice_resolutions(d_max, d_min)
    places = [1 / d**2 for d in told]
    return axis("d [Å]", tickvals=places, ticktext=[f"{d:.2f}" for d in told])


def shell_middles(shells: Shells) -> np.ndarray:
    """Give the middle of each shell in 1/d² [Å⁻²]."""
    return 0.5 / shells.d_max**2 + 0.5 / shells.d_min**2
