"""
The picture of two images in a common orientation.

Functions:
    picture_plot: from the raw images where there are any, else predicted positions
"""

from __future__ import annotations

import numpy as np

from dials_spread.pairs import SpotComparison
from dials_spread.report.compare_images.pictures import Picture
from dials_spread.report.compare_images.plots_pairs import spot_texts
from dials_spread.report.page.labels import hkl_label
from dials_spread.report.page.plot_style import (
    BLUE,
    INK,
    RED,
    axis,
    legend_above,
    new_plot,
)

MOST_LABELS = 15
"""Shared spots up to which the picture is labelled."""

RIGHT = "Across the beam [Å⁻¹]"
UP = "Across the beam, up [Å⁻¹]"

RAW_HELP = """
Left image a, in the middle image b, turned about the beam (and mirrored where needed)
so that equal indices lie over one another; dark is strong. Axes run across the beam in
reciprocal ångström, so the distance from the centre is 1/d. Circles mark the
reflections that both images have in common. Right the overlay: what only image a has is
blue, what only image b has is red, what both have is dark. Good: circles sit on spots
in both images, and the overlay is mostly dark. Spots beside their circles mean a wrong
indexing or geometry; many spots of one colour mean that the tilt differs, so that other
reflections are excited. The three frames zoom together.
"""

POSITIONS_HELP = """
Where the indexed spots of both images lie, image b turned about the beam (and mirrored
where needed) so that equal indices lie over one another. Axes run across the beam in
reciprocal ångström, so the distance from the centre is 1/d. Blue circles are the spots
of image a, red ones those of image b; filled in black are the reflections that both
have in common. Good: most circles are doubled and filled. Circles that lie over one
another without being shared have the same place but another index, or one of the two
was left out; many single circles mean that the tilt differs.
"""


def _frame_axes(limit: float, n_frames: int) -> dict:
    """Square frames side by side that zoom together."""
    layout = {}
    gap = 0.05
    width = (1 - gap * (n_frames - 1)) / n_frames
    for i in range(n_frames):
        suffix = "" if i == 0 else str(i + 1)
        start = i * (width + gap)
        across = {"range": [-limit, limit], "constrain": "domain", "nticks": 7}
        linked = {"matches": "x"} if i else {}
        layout[f"xaxis{suffix}"] = axis(
            RIGHT,
            anchor=f"y{suffix}",
            domain=[start, min(start + width, 1.0)],
            **across,
            **linked,
        )
        linked = {"matches": "y"} if i else {"scaleanchor": "x"}
        layout[f"yaxis{suffix}"] = axis(
            UP if i == 0 else "",
            anchor=f"x{suffix}",
            **across,
            **linked,
        )
    return layout


def _circles(
    position: np.ndarray, spots: SpotComparison, frame: int, colour: str, labelled: bool
) -> dict:
    """Circles around the shared spots in one of the frames."""
    suffix = "" if frame == 0 else str(frame + 1)
    labelled = labelled and len(position) <= MOST_LABELS
    return {
        "type": "scatter",
        "mode": "markers+text" if labelled else "markers",
        "name": "in common",
        "x": position[:, 0],
        "y": position[:, 1],
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "marker": {
            "symbol": "circle-open",
            "color": colour,
            "size": 14,
            "line": {"width": 1.4},
        },
        "text": [hkl_label(h) for h in spots.miller_index],
        "textposition": "top center",
        "textfont": {"size": 9, "color": INK},
        "hovertext": spot_texts(spots),
        "hoverinfo": "text",
    }


def _layout_image(source: str, frame: int, limit: float) -> dict:
    """A picture that fills one of the frames."""
    suffix = "" if frame == 0 else str(frame + 1)
    return {
        "source": source,
        "xref": f"x{suffix}",
        "yref": f"y{suffix}",
        "x": -limit,
        "y": limit,
        "sizex": 2 * limit,
        "sizey": 2 * limit,
        "sizing": "stretch",
        "layer": "below",
    }


def _frame_title(text: str, frame: int, colour: str) -> dict:
    """The name of a frame, above it."""
    suffix = "" if frame == 0 else str(frame + 1)
    return {
        "text": text,
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "x": 0,
        "y": 1.0,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 13, "color": colour},
    }


def _raw_plot(
    spots: SpotComparison, label_a: str, label_b: str, picture: Picture
) -> dict:
    """Image a, image b and their overlay."""
    sources = picture.encode()
    middle = 0.5 * (spots.position_a + spots.position_b)
    titles = ((f"a: {label_a}", BLUE), (f"b: {label_b}", RED), ("overlay", INK))
    return new_plot(
        [
            _circles(spots.position_a, spots, 0, BLUE, True),
            _circles(spots.position_b, spots, 1, RED, False),
            _circles(middle, spots, 2, INK, False),
        ],
        RAW_HELP,
        "The two images in a common orientation",
        images=[_layout_image(s, i, picture.limit) for i, s in enumerate(sources)],
        annotations=[_frame_title(t, i, c) for i, (t, c) in enumerate(titles)],
        showlegend=False,
        dragmode="zoom",
        margin={"l": 65, "r": 18, "t": 28, "b": 50},
        height=470,
        meta={"wide": True, "square": True, "frames": 3},
        **_frame_axes(picture.limit, 3),
    )


def _positions_trace(position, name, colour, size) -> dict:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": position[:, 0],
        "y": position[:, 1],
        "marker": {
            "symbol": "circle-open",
            "color": colour,
            "size": size,
            "line": {"width": 1.6},
        },
        "hovertemplate": name + ": %{x:.3f}, %{y:.3f} Å⁻¹<extra></extra>",
    }


def _positions_plot(
    spots: SpotComparison, label_a: str, label_b: str, picture: Picture | None
) -> dict:
    """The predicted positions of all spots."""
    shared = _circles(spots.position_a, spots, 0, "#000000", True)
    shared["marker"] = {"symbol": "circle", "color": "#000000", "size": 5}
    shared["name"] = f"in common ({len(spots.miller_index)})"
    reason = "" if picture is None else picture.reason
    every = np.concatenate([spots.spots_a, spots.spots_b])
    limit = 1.1 * float(np.abs(every).max(initial=0.1))
    n_a, n_b = len(spots.spots_a), len(spots.spots_b)
    return new_plot(
        [
            _positions_trace(spots.spots_a, f"a: {label_a} ({n_a})", BLUE, 13),
            _positions_trace(spots.spots_b, f"b: {label_b} ({n_b})", RED, 9),
            shared,
            _centre_mark(),
        ],
        POSITIONS_HELP,
        "Spots of the two images in a common orientation",
        reason,
        legend=legend_above(),
        height=620,
        meta={"square": True},
        **_frame_axes(limit, 1),
    )


def _centre_mark() -> dict:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "direct beam",
        "x": [0],
        "y": [0],
        "marker": {"symbol": "cross-thin-open", "color": INK, "size": 12},
        "showlegend": False,
        "hovertemplate": "direct beam<extra></extra>",
    }


def picture_plot(
    spots: SpotComparison, label_a: str, label_b: str, picture: Picture | None
) -> dict:
    """
    Draw two images in a common orientation, the shared indices marked.

    Args:
        spots: The comparison.
        label_a: Name of image a.
        label_b: Name of image b.
        picture: The raw images; None, or one without pixels, gives the predicted
            positions alone.

    Returns:
        A plot: a, b and their overlay side by side, or one frame of positions.
    """
    if picture is None or picture.pixels_a is None:
        return _positions_plot(spots, label_a, label_b, picture)
    return _raw_plot(spots, label_a, label_b, picture)
