"""
The plots as figures for papers, drawn with matplotlib from the same dictionaries.

Knows what the plots of this package use of plotly: scatter and bar traces, error bars,
several frames, a second axis on the right, pictures, lines across, annotations, colour bars. What only makes sense
on a screen (hovering, buttons) is left out.

Functions:
    write_figure: a plot to a PNG or SVG file
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from PIL import Image

PIXELS_PER_INCH = 100
"""Plotly's pixels to inches: a plot of 420 pixels is 4.2 inches high."""

DPI = 300
POINTS_PER_PIXEL = 0.72
WIDTH = 720
"""Of a plot of one frame [pixels]; frames side by side get half as much again each."""

STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    # Ids in SVG are random otherwise, and no figure would be written alike twice.
    "svg.hashsalt": "dials_spread",
    "mathtext.default": "regular",
}

MARKERS = {
    **{"circle": "o", "circle-open": "o", "square": "s", "diamond": "D"},
    **{"cross-thin-open": "+", "x-thin-open": "x"},
}
DASHES = {"dash": "--", "dot": ":"}


def _text(html: str) -> str:
    """Take plotly's few tags out of a text."""
    return re.sub(r"<[^>]+>", "", html.replace("<br>", "\n")).replace("$", r"\$")


def _colour(name: str):
    """Turn a CSS colour into matplotlib's."""
    found = re.match(r"rgba\(([^)]+)\)", name)
    if not found:
        return to_rgba(name)
    r, g, b, alpha = (float(v) for v in found.group(1).split(","))
    return r / 255, g / 255, b / 255, alpha


def _numbers(values) -> np.ndarray:
    """A trace's column, nan for null."""
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def _colormap(scale):
    if isinstance(scale, str):
        return matplotlib.colormaps[scale.lower()]
    return LinearSegmentedColormap.from_list("scale", [tuple(s) for s in scale])


def _set_axis(axes, which: str, axis: dict) -> None:
    """Title, range, ticks and type of one axis."""
    if axis.get("visible") is False:
        getattr(axes, f"get_{which}axis")().set_visible(False)
        axes.spines[
            ["left", "right"] if which == "y" else ["top", "bottom"]
        ].set_visible(False)
        return
    getattr(axes, f"set_{which}label")(_text(axis.get("title", {}).get("text", "")))
    if axis.get("type") == "log":
        getattr(axes, f"set_{which}scale")("log")
    if axis.get("range"):
        # Plotly gives the logarithms of the ends of a logarithmic axis.
        ends = np.asarray(axis["range"], dtype=float)
        log = axis.get("type") == "log"
        getattr(axes, f"set_{which}lim")(*(10**ends if log else ends))
    elif axis.get("rangemode") == "tozero" and axis.get("type") != "log":
        low, high = getattr(axes, f"get_{which}lim")()
        getattr(axes, f"set_{which}lim")(min(low, 0) if low < 0 else 0, high)
    if "nticks" in axis:
        getattr(axes, f"{which}axis").set_major_locator(MaxNLocator(axis["nticks"]))
    if "tickvals" in axis:
        limits = getattr(axes, f"get_{which}lim")()
        turn = {"rotation": -axis.get("tickangle", 0)} if which == "x" else {}
        if "tickangle" in axis:
            turn["size"] = 7
        texts = [_text(text) for text in axis["ticktext"]]
        getattr(axes, f"set_{which}ticks")(axis["tickvals"], texts, **turn)
        # Ticks of what lies outside must not widen the frame, nor others have texts.
        getattr(axes, f"set_{which}lim")(limits)
        getattr(axes, f"{which}axis").set_minor_formatter(NullFormatter())


def _draw_error_bars(axes, trace: dict, x, y) -> None:
    """Error bars of one trace, with ends of their own where it has them."""
    for name in ("error_x", "error_y"):
        if name not in trace:
            continue
        error = trace[name]
        ends = _numbers(error["array"])
        if "arrayminus" in error:
            ends = np.array([_numbers(error["arrayminus"]), ends])
        axes.errorbar(
            *(x, y),
            **{name[-1] + "err": ends},
            fmt="none",
            ecolor=_colour(error["color"]),
            elinewidth=error.get("thickness", 1),
            capsize=error.get("width", 0),
            zorder=2.5,
        )


def _draw_scatter(figure, axes, trace: dict) -> None:
    """Lines, dots, error bars and texts of one trace."""
    x, y = _numbers(trace["x"]), _numbers(trace["y"])
    mode, label = trace.get("mode", "markers"), _text(trace.get("name", ""))
    if trace.get("showlegend") is False:
        label = "_" + label
    line = trace.get("line", {})
    if trace.get("fill") == "toself":
        axes.fill(x, y, color=_colour(trace["fillcolor"]), lw=0, label=label)
        return
    if "lines" in mode:
        style = DASHES.get(line.get("dash"), "-")
        colour, width = _colour(line["color"]), line.get("width", 1.5)
        hidden = "markers" in mode
        axes.plot(x, y, style, color=colour, lw=width, label="_" if hidden else label)
    _draw_error_bars(axes, trace, x, y)
    if "markers" in mode:
        _draw_markers(figure, axes, trace, x, y, label)
    if "text" in mode:
        drawn: list[str] = []
        for i, j, text in zip(x, y, trace["text"]):
            place = trace.get("textposition", "top center")
            side = place[len(drawn)] if isinstance(place, list) else place
            drawn.append(text)
            axes.annotate(
                *(_text(text), (i, j)),
                **_beside(side, 3 + 0.35 * trace["marker"].get("size", 6)),
                textcoords="offset points",
                size=trace.get("textfont", {}).get("size", 10) * POINTS_PER_PIXEL,
            )


def _beside(side: str, far: float) -> dict:
    """Where a text stands beside its point, as matplotlib says it."""
    up, along = side.split()
    shift = {"left": -far, "right": far, "center": 0}[along]
    across = {"left": "right", "right": "left", "center": "center"}[along]
    down = {"top": far, "bottom": -far, "middle": 0}[up]
    vertical = {"top": "bottom", "bottom": "top", "middle": "center"}[up]
    return {"xytext": (shift, down), "ha": across, "va": vertical}


def _draw_markers(figure, axes, trace: dict, x, y, label: str) -> None:
    if not len(x):
        return
    marker = trace["marker"]
    symbol = marker.get("symbol", "circle")
    kwargs = {"marker": MARKERS[symbol], "label": label, "zorder": 3}
    kwargs["s"] = (marker.get("size", 6) * POINTS_PER_PIXEL) ** 2
    kwargs["alpha"] = marker.get("opacity")
    width = marker.get("line", {}).get("width", 0 if "open" not in symbol else 1)
    kwargs["linewidths"] = width * POINTS_PER_PIXEL
    if isinstance(marker["color"], list) and isinstance(marker["color"][0], str):
        axes.scatter(x, y, color=[_colour(c) for c in marker["color"]], **kwargs)
        return
    if isinstance(marker["color"], list):
        colour = _numbers(marker["color"])
        norm = Normalize(marker.get("cmin"), marker.get("cmax"))
        scale = _colormap(marker["colorscale"])
        drawn = axes.scatter(x, y, c=colour, norm=norm, cmap=scale, **kwargs)
        title = _text(marker.get("colorbar", {}).get("title", {}).get("text", ""))
        figure.colorbar(drawn, ax=axes, shrink=0.7, pad=0.03, label=title)
        return
    colour = _colour(marker["color"])
    if symbol == "circle-open":
        axes.scatter(x, y, facecolors="none", edgecolors=[colour], **kwargs)
    else:
        axes.scatter(x, y, color=[colour], **kwargs)


def _draw_image(axes, image: dict) -> None:
    """A picture given as a data URL, by its top left corner and size."""
    data = base64.b64decode(image["source"].split(",", 1)[1])
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    x, y = image["x"], image["y"]
    extent = (x, x + image["sizex"], y - image["sizey"], y)
    axes.imshow(pixels, extent=extent, aspect="equal", interpolation="nearest")


def _frames(layout: dict) -> list[str]:
    """The suffixes of the frames: "", "2", "3"."""
    names = [k[5:] for k in layout if k.startswith("xaxis")]
    return sorted(names, key=lambda s: int(s or 1))


def _decorate(frames: dict, layout: dict) -> None:
    """Pictures, lines and titles that lie on the frames."""
    for image in layout.get("images", []):
        _draw_image(frames[image["xref"][1:]], image)
    for shape in layout.get("shapes", []):
        points = [shape[k] for k in ("x0", "x1", "y0", "y1")]
        line = shape["line"]
        frames[""].plot(
            *(points[:2], points[2:]), color=line["color"], lw=line["width"], zorder=0.5
        )
    for note in layout.get("annotations", []):
        axes = frames[note["xref"].split()[0][1:]]
        colour = note["font"]["color"]
        axes.set_title(_text(note["text"]), loc="left", color=colour, size=10)


def _draw_bars(axes, trace: dict) -> None:
    """Bars of one trace, with their error bars."""
    x, height, width = (_numbers(trace[k]) for k in ("x", "y", "width"))
    # Plotly's offset is that of the left edge.
    middle = x + trace["offset"] + width / 2 if "offset" in trace else x
    colour, alpha = trace["marker"]["color"], trace.get("opacity", 1)
    shown = trace.get("showlegend", True) and trace.get("name")
    label = _text(trace["name"]) if shown else "_"
    axes.bar(middle, height, width, color=colour, alpha=alpha, label=label)
    _draw_error_bars(axes, trace, x, height)


def _add_legend(axes, twin) -> None:
    """Above the frame, where it hides nothing."""
    handles, names = axes.get_legend_handles_labels()
    if twin is not None:
        more = twin.get_legend_handles_labels()
        handles, names = handles + more[0], names + more[1]
    if names:
        columns = int(np.clip(75 // max(map(len, names)), 1, 4))
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes.legend(handles, names, ncol=columns, **place)


def draw(plot: dict) -> Figure:
    """
    Draw a plot with matplotlib.

    Args:
        plot: A plotly dictionary as the functions of this package give it.

    Returns:
        The figure.
    """
    layout = plot["layout"]
    suffixes = _frames(layout)
    width = WIDTH * (1 + 0.5 * (len(suffixes) - 1))
    size = (width / PIXELS_PER_INCH, layout["height"] / PIXELS_PER_INCH)
    figure = Figure(figsize=size, layout="constrained")
    columns = figure.subplots(1, len(suffixes), squeeze=False)[0]
    frames, twin = dict(zip(suffixes, columns)), None
    for trace in plot["data"]:
        axes = frames[trace.get("xaxis", "x")[1:]]
        if trace.get("yaxis", "y") == "y2" and "overlaying" in layout["yaxis2"]:
            axes = twin = twin or columns[0].twinx()
        if trace["type"] == "bar":
            _draw_bars(axes, trace)
        else:
            _draw_scatter(figure, axes, trace)
    _decorate(frames, layout)
    if twin is not None:
        _set_axis(twin, "y", layout["yaxis2"])
        # Points lie before the bars of the other axis.
        columns[0].set_zorder(1)
        columns[0].patch.set_visible(False)
    for suffix, axes in frames.items():
        _set_axis(axes, "x", layout[f"xaxis{suffix}"])
        _set_axis(axes, "y", layout[f"yaxis{suffix}"])
        if "scaleanchor" in layout["yaxis"]:
            axes.set_aspect("equal")
    title = layout["title"]
    lines = (title["text"], title.get("subtitle", {}).get("text", ""))
    figure.suptitle(_text("<br>".join(filter(None, lines))), size=11)
    if layout.get("showlegend", True):
        _add_legend(columns[0], twin)
    return figure


def write_figure(plot: dict, path: str | Path) -> Path:
    """
    Write a plot to a file.

    Args:
        plot: A plotly dictionary as the functions of this package give it.
        path: Ends in .png or .svg, which decides the format.

    Returns:
        The path.

    Raises:
        ValueError: Another ending.
    """
    path = Path(path)
    canvas = {".png": FigureCanvasAgg, ".svg": FigureCanvasSVG}.get(path.suffix)
    if canvas is None:
        raise ValueError(f"A figure is .png or .svg, not {path.suffix or 'nothing'}")
    with matplotlib.rc_context(STYLE):
        figure = draw(plot)
        canvas(figure)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=DPI, metadata=metadata)
    return path
