"""
Plots of noisy spots.

Functions:
    noisy_plots: all of them by name
"""

from __future__ import annotations

import numpy as np

from dials_spread.report.compare_images.origins.plots_removal import removal_plot
from dials_spread.report.page.labels import counted, digits, hkl_label
from dials_spread.report.page.plot_style import (
    BLUE,
    CRYSTAL_COLOURS,
    EXCESS,
    GREY,
    INK,
    axis,
    legend_above,
    log_axis,
    log_ticks,
    new_plot,
    sample,
    sample_note,
)
from dials_spread.spread.noisy_spots.clusters import Mixture, posterior_sum
from dials_spread.spread.noisy_spots.noisy import NoisySpots
from dials_spread.spread.size.reflection_spread import LOG_GRID

REFLECTIONS_HELP = {
    "intensity": """
Each dot is a unique reflection: its mean intensity, and the spread of its observations
beyond the known errors, relative to the mean. The black line joins the spread of eight
groups of reflections taken together, which a few observations do not move. ρ is
Spearman's rank correlation. Flat: the
errors are proportional to the intensity (scale, thickness). Falling to the right: weak
reflections spread more than in proportion, as when multiple scattering adds intensity
from strong ones. Colours are clusters.
""",
    "d_spacing": """
Each dot is a unique reflection: its resolution, and the spread of its observations beyond
the known errors, relative to the mean. The black line joins groups of reflections taken
together. Flat is good. Rising to the right (high resolution): errors of weak reflections
that the sigmas do not cover, or damage. Rising to the left: strong low-order reflections,
which multiple scattering and saturation hit first. Colours are clusters.
""",
    "multiplicity": """
Each dot is a unique reflection: how often it was observed, and the spread of these
observations. The black line joins groups of reflections taken together and should be
flat. If it rises, observations that were taken close to one another (few orientations)
agree better than those from many, which a dependence on orientation does. Dots at the
left are poorly known and drawn towards the rest; that alone makes no cluster.
""",
}

AXES = {
    "intensity": "Mean intensity of the reflection [arb. units]",
    "d_spacing": "Resolution d [Å], high resolution to the right",
    "multiplicity": "Multiplicity [observations]",
}

WORDS = {
    "intensity": "intensity",
    "d_spacing": "resolution",
    "multiplicity": "multiplicity",
}

MIXTURE_HELP = """
How the spread is distributed over unique reflections. Bars: where the
spread of each may lie, with all others as prior knowledge. Lines: the mixture of Gaussians on the logarithm of s that
describes the true values; the number of lines was chosen by BIC, and more than one stays
only if they are apart and if simulated data of one class do not give as many. One line is
the usual and good answer: reflections differ, but not in kind. A second line far to the
right is a group of noisy reflections: look in the JSON file which ones.
"""


def _reflection_dots(found: NoisySpots, x: np.ndarray) -> tuple[list[dict], str]:
    drawn = sample(len(x))
    data = []
    for cluster in range(max(found.n_clusters, 1)):
        own = drawn[found.cluster[drawn] == cluster]
        colour = BLUE if cluster == 0 else CRYSTAL_COLOURS[cluster]
        name = "reflections"
        if found.n_clusters > 1:
            name = f"cluster {cluster + 1}"
        texts = [
            f"{hkl_label(found.miller_index[i])}: s = {digits(found.spreads.s[i], 2)} "
            f"(68 %: {digits(found.spreads.low[i], 2)} to "
            f"{digits(found.spreads.high[i], 2)}), {found.spreads.number[i]} observations"
            for i in own
        ]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": x[own],
                "y": found.expected_s[own],
                "marker": {"color": colour, "size": 5, "opacity": 0.45},
                "text": texts,
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    return data, sample_note(len(x), len(drawn), "reflections")


def reflections_plot(found: NoisySpots, quantity: str) -> dict:
    """
    Draw the spread of reflections against a quantity.

    Args:
        found: About the reflections.
        quantity: A key of AXES.

    Returns:
        A plot.
    """
    x = {
        "intensity": found.spreads.level,
        "d_spacing": found.d_spacing,
        "multiplicity": found.spreads.number.astype(float),
    }[quantity]
    data, note = _reflection_dots(found, x)
    bins = found.dependence[quantity]
    shown = np.flatnonzero(np.nan_to_num(bins["s"]) > 0)
    data.append(
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "groups taken together",
            "x": bins["value"][shown],
            "y": bins["s"][shown],
            "line": {"color": INK, "width": 2.5},
            "marker": {"color": INK, "size": 7},
            "hovertemplate": "s = %{y:.3g}<extra></extra>",
        }
    )
    along = log_axis(AXES[quantity], x)
    if quantity == "d_spacing":
        along["range"] = along["range"][::-1]
    spread = np.concatenate([trace["y"] for trace in data])
    correlation = digits(bins["correlation"], 2)
    return new_plot(
        data,
        REFLECTIONS_HELP[quantity],
        f"Relative error of single reflections, by {WORDS[quantity]}",
        f"ρ = {correlation}, {counted(len(x), 'reflection')}"
        + (f"; {note}" if note else ""),
        xaxis=along,
        yaxis=log_axis(EXCESS, spread),
        legend=legend_above(),
        showlegend=True,
    )


def _components(chosen: Mixture, fine: np.ndarray, step: float) -> list[dict]:
    """A line for each component, as reflections in a bin of that width."""
    lines = []
    for k in range(len(chosen)):
        width = chosen.width[k] / np.log(10)
        z = (fine - chosen.centre[k] / np.log(10)) / width
        density = np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * width)
        centre = digits(np.exp(chosen.centre[k]), 2)
        colour = (BLUE, *CRYSTAL_COLOURS[1:])[k]
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"s = {centre}, {100 * chosen.weight[k]:.0f} %",
                "x": fine,
                "y": density * chosen.weight[k] * chosen.n * step,
                "line": {"color": colour, "width": 2.5},
                "hoverinfo": "skip",
            }
        )
    return lines


def mixture_plot(found: NoisySpots) -> dict:
    """
    Draw the distribution of s over reflections, with the mixture.

    Args:
        found: About the reflections.

    Returns:
        A plot.
    """
    chosen = found.mixtures[found.n_clusters - 1]
    x = LOG_GRID / np.log(10)
    share = posterior_sum(found.spreads.likelihood, LOG_GRID, chosen)
    shown = np.flatnonzero(share > 1e-4 * share.max())
    step = x[1] - x[0]
    low, high = float(x[shown[0]] - 2 * step), float(x[shown[-1]] + 2 * step)
    data = [
        {
            "type": "bar",
            "name": "reflections",
            "x": x,
            "y": share,
            "width": np.full(len(x), step),
            "marker": {"color": GREY},
            "opacity": 0.5,
            "hovertemplate": "%{y:.1f} reflections<extra></extra>",
        }
    ]
    data += _components(chosen, np.linspace(low, high, 200), step)
    ticks, texts = log_ticks(10**low, 10**high)
    number = "no separate class of noisy reflections"
    if found.n_clusters > 1:
        number = f"{found.n_clusters} classes"
    return new_plot(
        data,
        MIXTURE_HELP,
        "Classes of reflections",
        f"{number}, {counted(len(found.spreads), 'reflection')}",
        xaxis=axis(EXCESS, range=[low, high], tickvals=np.log10(ticks), ticktext=texts),
        yaxis=axis("Unique reflections [number]", rangemode="tozero"),
        legend=legend_above(),
        showlegend=True,
        barmode="overlay",
        bargap=0,
    )


def noisy_plots(found: NoisySpots) -> dict[str, dict]:
    """
    Draw noisy spots.

    Args:
        found: About the reflections.

    Returns:
        Plots by name; none without reflections that were observed twice.
    """
    if not len(found.spreads):
        return {}
    plots = {f"noisy_{q}": reflections_plot(found, q) for q in AXES}
    if found.n_clusters:
        plots["noisy_mixture"] = mixture_plot(found)
    removal = removal_plot(found)
    return plots if removal is None else {**plots, "noisy_removal": removal}
