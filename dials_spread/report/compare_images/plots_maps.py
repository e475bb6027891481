"""
Which images are matched with which, and where their beams run in the crystal.

Functions:
    orientation_map: the beam directions of all images, matched ones joined
    image_map: images against images
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.orientation import reciprocal_basis
from dials_spread.pairs import Matches, PairAgreement
from dials_spread.report.compare_images.plots_overview import pair_texts
from dials_spread.report.compare_images.sphere import Region, choose_region
from dials_spread.report.page.labels import digits, image_label, zone_label
from dials_spread.report.page.plot_style import (
    INK,
    MOST_POINTS,
    SEQUENTIAL,
    WARM,
    axis,
    colour_bar,
    crystal_colours,
    legend_above,
    new_plot,
    sample,
    sample_note,
)
from dials_spread.symmetry import LaueOperators

MOST_CRYSTALS = 10
"""Crystals up to which each has a colour of its own and a place in the legend."""

ORIENTATION_HELP = """
Every dot is an image: the direction of its beam in the crystal, brought into one region
of the sphere by the symmetry of the crystal, in equal-area projection. Colours are
crystals; the dots of a rotation scan follow one another along an arc, folded at the
region's edge. Of more than 10,000 images squares show how many there are in each
small area (fewer where the edge cuts it), and no lines. Grey lines join images that are matched. Crosses are zone axes. Many
crystals crossing each other: many comparisons at equal orientation. Crystals that lie
far from one another share no orientation, and pairs between them say nothing.
"""

MAP_HELP = """
Both axes list the images in order of crystal; thin lines are the crystals' boundaries.
Every matched pair is drawn twice: above the diagonal coloured by the number of common
reflections, below by R. Streaks along a diagonal are crystals that turned through the
same orientations together; a column without marks is an image that nothing matches. A
crystal whose marks below are brown throughout disagrees with all others: look at its
scale, indexing and damage. Of more than 10,000 pairs squares show how many there are
between two groups of images that follow one another, and below the diagonal their mean R.
"""

FARTHEST = 10
"""Angle [°] up to which matched images are joined; beyond, lines only confuse."""

MOST_ZONE_INDEX = 3
"""Of zone axes that are named at the corners; elsewhere 1."""

DENSE = 10_000
"""Of more images or pairs how many there are in each cell is drawn, not some of them."""

CELLS = 64
"""Cells of such a map along either side."""

CELL_SIZE = 8
"""Of their marks [pixels]: cells of a frame of about 500 pixels touch."""

LEFT_BAR, RIGHT_BAR = (0.0, 0.46), (0.54, 0.46)
"""Beginning and length of colour bars, of the width of a plot."""

AT_CORNER = 0.03
"""On the map, where a hemisphere has radius √2: nearer than that is at the corner."""

APART = 0.16
"""Likewise: names of zone axes that are nearer hide one another."""


def _image_traces(observations: Observations, place: np.ndarray) -> list[dict]:
    """The images as dots, a trace a crystal or all in one."""
    drawn = sample(len(place))
    crystal = observations.images.crystal[drawn]
    texts = np.array([image_label(observations, i) for i in drawn])
    trace: dict[str, object] = {
        "type": "scatter",
        "mode": "markers",
        "hovertemplate": "%{text}<extra></extra>",
    }
    numbers = np.unique(observations.images.crystal)
    if len(numbers) > MOST_CRYSTALS:
        marker = {"color": crystal, "colorscale": "Viridis", "size": 5}
        marker["colorbar"] = colour_bar("Crystal [number]")
        x, y = place[drawn].T
        trace.update({"name": "images", "x": x, "y": y, "text": texts})
        return [{**trace, "marker": marker, "showlegend": False}]
    colours = crystal_colours(numbers)
    traces = []
    for number in numbers:
        own = crystal == number
        x, y = place[drawn[own]].T
        marker = {"color": colours[int(number)], "size": 6, "opacity": 0.85}
        named = {"name": f"crystal {number}", "marker": marker, "text": texts[own]}
        if len(numbers) == 1:
            named["showlegend"] = False
        traces.append({**trace, **named, "x": x, "y": y})
    return traces


def _square_trace(x, y, colour, texts, size, scale, limits, title, bar) -> dict:
    """
    Squares on a map; colours are numbers.

    bar is where the colour bar begins, and how long it is, of the width of the plot.
    """
    return {
        "type": "scatter",
        "mode": "markers",
        "name": title,
        "x": x,
        "y": y,
        "marker": {
            "symbol": "square",
            "size": size,
            "color": colour,
            "colorscale": scale,
            **dict(zip(("cmin", "cmax"), limits or ())),
            "colorbar": colour_bar(title, *bar),
        },
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _density_trace(x, y, colour, texts, scale, title, bar=(0.0, 1.0)) -> dict:
    """Cells of a map as squares; what each holds is its colour."""
    found = _square_trace(x, y, colour, texts, CELL_SIZE, scale, None, title, bar)
    return {**found, "showlegend": False}


def _image_density(place: np.ndarray, ends: list[np.ndarray]) -> list[dict]:
    """How many images there are in each cell of the map."""
    step = float((ends[1] - ends[0]).max()) / CELLS
    cell = np.floor((place - ends[0]) / step).astype(int)
    cells, counts = np.unique(cell, axis=0, return_counts=True)
    x, y = (ends[0] + (cells + 0.5) * step).T
    texts = [f"{n:,} images" for n in counts]
    title = "Images in a cell [number]"
    return [_density_trace(x, y, counts, texts, SEQUENTIAL, title)]


def _folded(angle: np.ndarray) -> np.ndarray:
    """The angle between two lines rather than two directions [°]."""
    return np.minimum(angle, 180 - angle)


def _match_trace(
    observations: Observations,
    operators: LaueOperators,
    matches: Matches,
    region: Region,
) -> dict:
    """Lines from image to image, each beside its image a and not across the region."""
    near = np.flatnonzero(_folded(matches.beam_angle) <= FARTHEST)
    drawn = near[sample(len(near))]
    a, b = matches.image_a[drawn], matches.image_b[drawn]
    beam = observations.images.beam
    mapped = operators.on_directions[matches.operator[drawn]] @ beam[b][..., None]
    mapped = mapped[..., 0]
    # Flat zones look alike from both sides: draw the shorter way.
    mapped *= np.sign(np.sum(mapped * beam[a], axis=1, keepdims=True) + 1e-12)
    start, number = region.reduce(beam[a])
    end = np.einsum("nij,nj->ni", region.directions[number], mapped)
    end = region.last_inside(start, end)
    x, y = np.full((2, len(drawn), 3), np.nan)
    x[:, 0], y[:, 0] = region.project(start).T
    x[:, 1], y[:, 1] = region.project(end).T
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"matched, up to {FARTHEST}° apart",
        "x": x.ravel(),
        "y": y.ravel(),
        "line": {"color": "rgba(110,110,110,0.55)", "width": 1},
        "hoverinfo": "skip",
    }


def _zones(
    observations: Observations, region: Region
) -> tuple[np.ndarray, list[str], list[str]]:
    """
    Choose zone axes for the map: the simplest ones, and those at the corners.

    Args:
        observations: With the cell.
        region: What the map shows.

    Returns:
        Places, shape (n, 2), names, and on which side of the dot each name stands.
    """
    axes = np.linalg.inv(reciprocal_basis(observations.unit_cell)).T
    span = np.arange(-MOST_ZONE_INDEX, MOST_ZONE_INDEX + 1)
    every = np.stack(np.meshgrid(span, span, span), axis=-1).reshape(-1, 3)
    every = every[np.gcd.reduce(every, axis=1) == 1]
    order = np.lexsort((-every.sum(axis=1), np.abs(every).sum(axis=1)))
    every = every[order]
    direct = every @ axes.T
    direct /= np.linalg.norm(direct, axis=1, keepdims=True)
    place = region.project(region.reduce(direct)[0])
    simple = (np.abs(every).max(axis=1) == 1) & (every >= 0).all(axis=1)
    corners = region.project(region.corners())
    middle = 0.5 * (corners.min(axis=0) + corners.max(axis=0)) if len(corners) else 0.0
    at_corner = np.zeros(len(every), dtype=bool)
    for corner in corners:
        near = np.linalg.norm(place - corner, axis=1) < AT_CORNER
        if near.any():
            at_corner[np.argmax(near)] = True
    chosen: list[int] = []
    for i in [*np.flatnonzero(at_corner), *np.flatnonzero(simple & ~at_corner)]:
        apart = np.linalg.norm(place[chosen] - place[i], axis=1)
        if not len(chosen) or apart.min() > APART:
            chosen.append(int(i))
    sides = [_side(*(place[i] - middle)) for i in chosen]
    names = [zone_label(every[i]) for i in chosen]
    return place[chosen], names, sides


def _side(x: float, y: float) -> str:
    """Where a name stands that is to point away from the middle."""
    up = "top" if y > 0 else "bottom"
    along = "right" if x > 0 else "left"
    # A name straight above a slanted edge would lie across it.
    steep, flat = abs(x) < 0.25 * abs(y), abs(y) < 0.4 * abs(x)
    return f"{'middle' if flat else up} {'center' if steep else along}"


def _zone_trace(observations: Observations, region: Region) -> dict:
    """Low-index zone axes as crosses."""
    place, names, sides = _zones(observations, region)
    x, y = place.T
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": "zone axes",
        "x": x,
        "y": y,
        "marker": {"symbol": "cross-thin-open", "size": 10, "color": INK},
        "text": names,
        "textposition": sides,
        "textfont": {"size": 11, "color": INK},
        "cliponaxis": False,
        "hoverinfo": "text",
    }


def _outline_trace(region: Region) -> dict:
    x, y = region.project(region.outline()).T
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "region",
        "x": x,
        "y": y,
        "line": {"color": "#555555", "width": 1.2},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def orientation_map(
    observations: Observations, operators: LaueOperators, matches: Matches
) -> dict:
    """
    Draw the beam directions of all images in the crystal, matched ones joined.

    Args:
        observations: With the images.
        operators: Of the Laue group.
        matches: The pairs.

    Returns:
        A plot.
    """
    region = choose_region(operators)
    n = len(observations.images)
    place = region.project(region.reduce(observations.images.beam)[0])
    corners = region.project(region.outline())
    ends = [corners.min(axis=0) - 0.12, corners.max(axis=0) + 0.12]
    outline = _outline_trace(region)
    if n > DENSE:
        traces, note = [*_image_density(place, ends), outline], f"{n:,} images"
    else:
        lines = _match_trace(observations, operators, matches, region)
        traces = [outline, lines, *_image_traces(observations, place)]
        notes = (
            sample_note(n, min(n, MOST_POINTS), "images"),
            sample_note(len(matches), min(len(matches), MOST_POINTS), "pairs"),
        )
        note = "; ".join(filter(None, notes))
    blank = {"visible": False, "constrain": "domain"}
    across = {"range": [ends[0][0], ends[1][0]], **blank}
    up = {"range": [ends[0][1], ends[1][1]], "scaleanchor": "x", **blank}
    return new_plot(
        [*traces, _zone_trace(observations, region)],
        ORIENTATION_HELP,
        "Beam directions in the crystal",
        note,
        xaxis=axis("", **across),
        yaxis=axis("", **up),
        showlegend=n <= DENSE,
        legend={**legend_above(), "itemsizing": "constant"},
        margin={"l": 20, "r": 20, "t": 16, "b": 20},
        height=600,
        meta={"square": True},
    )


def _boundaries(crystal: np.ndarray) -> list[dict]:
    """Thin lines between the images of different crystals, where not too many."""
    edges = np.flatnonzero(np.diff(crystal)) + 0.5
    if len(edges) > 60:
        return []
    shapes = []
    for edge in edges:
        for along, across in (("x", "y"), ("y", "x")):
            shapes.append(
                {
                    "type": "line",
                    "layer": "below",
                    f"{along}0": edge,
                    f"{along}1": edge,
                    f"{across}0": -0.5,
                    f"{across}1": len(crystal) - 0.5,
                    "line": {"color": "#c8c8c8", "width": 1},
                }
            )
    return shapes


def _pair_density(matches: Matches, r_factor: np.ndarray, n_images: int) -> list[dict]:
    """How many pairs there are between groups of images, and their mean R."""
    step = n_images / CELLS
    a = (matches.image_a / step).astype(int)
    b = (matches.image_b / step).astype(int)
    low, high = np.minimum(a, b), np.maximum(a, b)
    cell = low * CELLS + high
    counts = np.bincount(cell, minlength=CELLS**2)
    known = np.isfinite(r_factor)
    n_known = np.bincount(cell[known], minlength=CELLS**2)
    total = np.bincount(cell[known], r_factor[known], minlength=CELLS**2)
    filled = np.flatnonzero(counts)
    mean = np.full(CELLS**2, np.nan)
    np.divide(total, n_known, out=mean, where=n_known > 0)
    # What lies on the diagonal belongs to the upper side.
    below = filled[(filled // CELLS != filled % CELLS) & (n_known[filled] > 0)]
    place = (np.arange(CELLS) + 0.5) * step - 0.5
    count_texts = [f"{n:,} pairs" for n in counts[filled]]
    r_texts = [f"{n_known[c]:,} pairs, mean R = {digits(mean[c])}" for c in below]
    return [
        _density_trace(
            *(place[filled // CELLS], place[filled % CELLS], counts[filled]),
            *(count_texts, SEQUENTIAL, "Above: pairs in a cell [number]", LEFT_BAR),
        ),
        _density_trace(
            *(place[below % CELLS], place[below // CELLS], mean[below], r_texts, WARM),
            *("Below the diagonal: mean R", RIGHT_BAR),
        ),
    ]


def _pair_marks(
    observations: Observations, matches: Matches, agreement: PairAgreement
) -> list[dict]:
    """Pairs as marks: coloured by n_common above the diagonal, by R below."""
    drawn = sample(len(matches))
    a, b = matches.image_a[drawn], matches.image_b[drawn]
    texts = pair_texts(observations, matches, agreement, drawn)
    n, n_common = len(observations.images), matches.n_common[drawn]
    r_factor = agreement.r_factor[drawn]
    known = np.flatnonzero(np.isfinite(r_factor))
    worst = np.percentile(r_factor[known], 95) if len(known) else 1.0
    size = float(np.clip(420 / n, 3, 12))
    counts = (n_common.min(initial=0), n_common.max(initial=1))
    low, high = np.minimum(a, b), np.maximum(a, b)
    return [
        _square_trace(
            *(low, high, n_common, texts, size, SEQUENTIAL, counts),
            *("Above: common reflections", LEFT_BAR),
        ),
        _square_trace(
            *(high[known], low[known], r_factor[known], [texts[i] for i in known]),
            *(size, WARM, (0, worst), "Below the diagonal: R", RIGHT_BAR),
        ),
    ]


def image_map(
    observations: Observations, matches: Matches, agreement: PairAgreement
) -> dict:
    """
    Draw which images are matched with which.

    Args:
        observations: With the images.
        matches: The pairs.
        agreement: Of the pairs.

    Returns:
        A plot: n_common above the diagonal, R below; of many pairs their number and
        their mean R.
    """
    n = len(observations.images)
    if len(matches) > DENSE:
        marks = _pair_density(matches, agreement.r_factor, n)
        note = f"{len(matches):,} pairs"
    else:
        marks = _pair_marks(observations, matches, agreement)
        note = sample_note(len(matches), min(len(matches), MOST_POINTS), "pairs")
    across = {"range": [-0.5, n - 0.5], "constrain": "domain"}
    return new_plot(
        marks,
        MAP_HELP,
        "Matched images",
        note,
        xaxis=axis("Image, in order of crystal [number]", **across),
        yaxis=axis("Image, in order of crystal [number]", scaleanchor="x", **across),
        shapes=_boundaries(observations.images.crystal),
        showlegend=False,
        height=620,
        meta={"square": True},
    )
