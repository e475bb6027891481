"""
Plots by resolution and of the distribution of intensities, before and after a correction.

Functions:
    merging_plots: R factors, CC½ and ⟨I/σ⟩ by resolution
    wilson_plot: mean intensity by resolution
    distribution_plot: N(z)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from dials_spread.report.ml_correct.before_after import BeforeAfter, Side
from dials_spread.report.page.plot_parts import (
    before_line,
    line,
    resolution_axis,
)
from dials_spread.report.page.plot_style import (
    BLUE,
    GREY,
    INK,
    RED,
    axis,
    legend_above,
    new_plot,
)
from dials_spread.rfactor.merging_statistics import (
    LABELS,
    MergingStatistics,
    ShellStatistics,
)
from dials_spread.rfactor.wilson_statistics import (
    cumulative,
    expected_cumulative,
    shell_means,
)

MERGING_HELP = """
R_meas (lines) and R_pim (dashed) of observations about their mean, by resolution shell,
before (grey) and after the correction (blue). R_meas is how far single observations of a
reflection differ, R_pim how uncertain their mean is. Good is low; a blue line below the grey
one says that equivalents agree better, which is no proof that they are right.
"""

CC_HELP = """
CC½, the correlation of one half of the observations with the other, by resolution shell,
before (grey) and after (blue). Good is near 1. Where it falls below about 0.3 there is
little signal, and a correction has nothing to work with: consider a resolution limit.
"""

I_SIGMA_HELP = """
The mean of I/σ of merged intensities by resolution shell, before (grey) and after (blue).
Good is above 2 in the last shell. Before dials.scale, σ has no error model, and the values
are too high.
"""

WILSON_HELP = """
The logarithm of the mean intensity in shells of resolution, before (grey) and after (blue);
straight lines fall by 2B. Form factors are not divided out, since the composition is not
known. Good are two curves of one shape: the correction should keep the fall-off.
"""

DISTRIBUTION_HELP = """
N(z): the part of the reflections whose intensity is at most z times the mean at its
resolution, for acentric and centric reflections apart, before and after. Thin lines are what
Wilson statistics expect of atoms at random places. Multiple scattering feeds weak
reflections, so that a curve lies too low on the left; a correction should bring it nearer to
the thin line of its kind. Noise and few reflections move curves as well.
"""

WILSON_SHELLS = 20

FEWEST = 40
"""Reflections of one kind without which N(z) is not drawn."""


def merging_plots(pair: BeforeAfter) -> dict[str, dict]:
    """
    Draw merging statistics by resolution.

    Args:
        pair: The data before and after.
    """
    sides = (pair.before.statistics, pair.after.statistics)
    limits = sides[0].overall.d_max, sides[0].overall.d_min

    def drawn(key: str, label: str = "", **more) -> list[dict]:
        def one(side: MergingStatistics, when: str, draw) -> dict:
            x = [_place(s) for s in side.by_shell]
            y = [getattr(s, key) for s in side.by_shell]
            told = [_told(s) for s in side.by_shell]
            return draw(x, y, name=f"{label} {when}".strip(), text=told, **dict(more))

        after = partial(line, colour=BLUE)
        return [one(sides[0], "before", before_line), one(sides[1], "after", after)]

    dashed = {"line": {"dash": "dash"}}
    r_factors = drawn("r_meas", LABELS["r_meas"])
    r_factors += drawn("r_pim", LABELS["r_pim"], **dashed)

    def plot(data: list[dict], help_text: str, title: str, along_y: dict) -> dict:
        return new_plot(
            data,
            help_text,
            title,
            xaxis=resolution_axis(*limits),
            yaxis=along_y,
            legend=legend_above(),
        )

    top = {"rangemode": "tozero"}
    return {
        "r_by_shell": plot(
            r_factors, MERGING_HELP, "R_meas and R_pim by resolution", axis("R", **top)
        ),
        "cc_half": plot(
            drawn("cc_half"),
            CC_HELP,
            "CC½ by resolution",
            axis(LABELS["cc_half"], range=[min(0, _least(sides)), 1.05]),
        ),
        "i_over_sigma": plot(
            drawn("mean_i_over_sigma"),
            I_SIGMA_HELP,
            "⟨I/σ⟩ by resolution",
            axis(LABELS["mean_i_over_sigma"], **top),
        ),
    }


def _least(sides: Sequence) -> float:
    values = [s.cc_half for side in sides for s in side.by_shell]
    finite = [x for x in values if np.isfinite(x)]
    return min([0.0, *finite])


def _place(shell: ShellStatistics) -> float:
    return 0.5 / shell.d_max**2 + 0.5 / shell.d_min**2


def _told(shell: ShellStatistics) -> str:
    return (
        f"{shell.d_max:.2f}–{shell.d_min:.2f} Å, {shell.n_unique} reflections, "
        f"{shell.n_observations:,} observations"
    )


def wilson_plot(pair: BeforeAfter) -> dict:
    """
    Draw the logarithm of the mean intensity by resolution.

    Args:
        pair: The data before and after.
    """
    n_shells = int(np.clip(len(pair.d_spacing) // 30, 4, WILSON_SHELLS))

    def points_of(side: Side) -> dict:
        of = (side.intensity, pair.epsilon, pair.d_spacing)
        x, mean, n = shell_means(*of, n_shells)
        with np.errstate(divide="ignore", invalid="ignore"):
            y = np.where(mean > 0, np.log(mean), np.nan)
        return {"x": x, "y": y, "text": [f"{k} reflections" for k in n]}

    data = [
        before_line(**points_of(pair.before)),
        line(**points_of(pair.after), colour=BLUE, name="after"),
    ]
    return new_plot(
        data,
        WILSON_HELP,
        "Wilson plot",
        xaxis=axis("(sin θ/λ)² [Å⁻²]", rangemode="tozero"),
        yaxis=axis("ln ⟨I/ε⟩, I on an arbitrary scale"),
        legend=legend_above(),
    )


def distribution_plot(pair: BeforeAfter) -> dict:
    """
    Draw N(z) with what Wilson statistics expect.

    Args:
        pair: The data before and after.
    """
    z, data = np.linspace(0, 2, 81), []
    for centric, dash, kind in (
        (False, "solid", "acentric"),
        (True, "dash", "centric"),
    ):
        own = pair.centric == centric
        if np.count_nonzero(own) < FEWEST:
            continue
        for colour, name, y, width in (
            (INK, "expected", expected_cumulative(z, centric), 1),
            (GREY, "before", cumulative(pair.before.z[own], z), 2.5),
            (
                BLUE if not centric else RED,
                "after",
                cumulative(pair.after.z[own], z),
                2.5,
            ),
        ):
            style = {"dash": dash, "width": width}
            told = f"{kind} {name}"
            data.append(line(z, y, colour, told, line=style, mode="lines"))
    counts = [
        f"{np.count_nonzero(pair.centric == centric):,} {kind}"
        for centric, kind in ((False, "acentric"), (True, "centric"))
    ]
    return new_plot(
        data,
        DISTRIBUTION_HELP,
        "Cumulative distribution N(z)",
        xaxis=axis(f"z = I / ⟨I⟩ of {' and '.join(counts)} reflections", range=[0, 2]),
        yaxis=axis("N(z)", range=[0, 1]),
        legend=legend_above(),
    )
