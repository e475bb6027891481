"""
Parts of plots: dots, lines, and axes of resolution and of amplitudes.

Functions:
    points, line, before_line, diagonal: traces
    resolution_axis: linear in 1/d², with ticks in d
    shell_middles: where shells stand on it
    amplitude_limits: the ends of a logarithmic axis of amplitudes
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


ROUND_D = (
    *(round(0.05 * k, 2) for k in range(4, 100)),
    *(float(k) for k in (*range(5, 20), *range(20, 101, 5))),
)
"""d-spacings [Å] at which a tick may stand."""

SPACES = 6
"""Between the ticks of an axis of resolution."""


def nice_resolutions(d_max: float, d_min: float) -> list[float]:
    """
    Choose round d-spacings [Å] for the ticks of an axis that is linear in 1/d²: near each
    of evenly spaced places the roundest number.
    """
    # A limit of 1.0998 Å is one of 1.1 Å.
    inside = [d for d in ROUND_D if 0.998 * d_min <= d <= 1.002 * d_max]
    low, high = 1 / d_max**2, 1 / d_min**2
    far = 0.5 * (high - low) / SPACES
    kept = set()
    for wanted in np.linspace(low, high, SPACES + 1):
        off = {d: abs(1 / d**2 - wanted) for d in inside}
        near = [(_decimals(d), off[d], d) for d in inside if off[d] <= far]
        kept |= {min(near)[2]} if near else set()
    if len(kept) < 2:
        kept = {round(d_max, 2), round(d_min, 2)}
    return sorted(kept, reverse=True)


def _decimals(d: float) -> int:
    """Say how round a number is: 0 for 2, 1 for 2.5, 2 for 0.85."""
    return len(f"{d:g}".partition(".")[2])


def resolution_axis(d_max: float, d_min: float) -> dict:
    """
    Describe an axis in 1/d² whose ticks are d.

    Args:
        d_max, d_min: Of the data [Å].
    """
    told = nice_resolutions(d_max, d_min)
    places = [1 / d**2 for d in told]
    return axis("d [Å]", tickvals=places, ticktext=[f"{d:g}" for d in told])


def shell_middles(shells: Shells) -> np.ndarray:
    """Give the middle of each shell in 1/d² [Å⁻²]."""
    return 0.5 / shells.d_max**2 + 0.5 / shells.d_min**2


LARGEST_RANGE = 1000.0
"""Of a logarithmic axis of amplitudes."""


def amplitude_limits(*amplitudes: np.ndarray) -> tuple[float, float]:
    """Give the ends of a logarithmic axis, which a few weak ones do not decide."""
    values = np.concatenate([F[np.isfinite(F) & (F > 0)] for F in amplitudes])
    if not len(values):
        return 0.1, 1.0
    high = float(values.max())
    return max(float(np.quantile(values, 0.01)), high / LARGEST_RANGE), high
