"""
Plots of the merged intensities of branches against the structure.

Functions:
    shells_plot: R1 by resolution shell
    amplitudes_plot: Fo against Fc
"""

from __future__ import annotations

import numpy as np

from dials_spread.placement.branches import NONE
from dials_spread.placement.results import BranchResult, PlacementComparison
from dials_spread.report.compare_placement.plots_differences import BRANCH_COLOURS
from dials_spread.report.page.labels import hkl_label
from dials_spread.report.page.plot_parts import (
    amplitude_limits,
    diagonal,
    line,
    points,
    resolution_axis,
)
from dials_spread.report.page.plot_style import (
    INK,
    axis,
    legend_above,
    log_axis,
    new_plot,
    sample,
    sample_note,
)
from dials_spread.rfactor import amplitudes

MOST_REFLECTIONS = 2000
"""Drawn of each branch."""

SHELLS_HELP = """
R1 against kinematic Fc in shells of about equally many reflections, on the reflections that
all branches have, each branch on one scale and overall B. Good is a line that lies below the
others in all shells. One that is lower at low resolution alone corrects strong reflections;
where all lines rise to the right, noise or errors of the structure are in the way.
"""

AMPLITUDES_HELP = """
Fo of the reflections that all branches have, on the scale of kinematic Fc with the overall B
of each branch; what is nought stands on the frame. A click on a name in the legend shows or
hides a branch. Good is a narrow band about the dashed line. A cloud that lies
above the line on the left shows multiple scattering into weak reflections.
"""


def shells_plot(result: PlacementComparison) -> dict:
    """
    Draw R1 by resolution shell, one line a branch.

    Args:
        result: The comparison.
    """
    data = []
    for name, branch in result.finished.items():
        rows = branch.shells
        x = [0.5 / row["d_max"] ** 2 + 0.5 / row["d_min"] ** 2 for row in rows]
        data.append(
            line(
                x,
                [row["r1"] for row in rows],
                BRANCH_COLOURS.get(name, INK),
                branch.branch.title,
                text=[
                    f"{row['d_max']:.2f}–{row['d_min']:.2f} Å, {row['n']} reflections"
                    for row in rows
                ],
                hovertemplate="%{text}: R1 %{y:.3f}",
            )
        )
    d = result.common.d_spacing[result.common.in_all]
    limits = (float(d.max()), float(d.min())) if len(d) else (10.0, 1.0)
    return new_plot(
        data,
        SHELLS_HELP,
        "R1 against kinematic Fc by resolution",
        xaxis=resolution_axis(*limits),
        yaxis=axis("R1", rangemode="tozero"),
        legend=legend_above(),
        height=460,
    )


def amplitudes_plot(result: PlacementComparison) -> dict:
    """
    Draw Fo against Fc, one cloud a branch; at first no correction and the best branch.

    Args:
        result: The comparison.
    """
    common, f_calc = result.common, result.known.f_calc
    known = np.flatnonzero(common.in_all & np.isfinite(f_calc))
    drawn = known[sample(len(known), MOST_REFLECTIONS)]
    told = [
        f"{hkl_label(common.unique_index[k])}, {common.d_spacing[k]:.2f} Å"
        for k in drawn
    ]
    f_o = {
        name: _on_scale(result, branch)[drawn]
        for name, branch in result.finished.items()
    }
    low, high = amplitude_limits(f_calc[drawn], *f_o.values())
    shown = {NONE, result.verdict.best}
    data = [
        points(
            np.maximum(f_calc[drawn], low),
            np.maximum(f, low),
            BRANCH_COLOURS.get(name, INK),
            result.branches[name].branch.title,
            text=told,
            hovertemplate="%{text}: Fo %{y:.3g}, Fc %{x:.3g}",
            visible=True if name in shown else "legendonly",
        )
        for name, f in f_o.items()
    ]
    return new_plot(
        [*data, diagonal(high, low)],
        AMPLITUDES_HELP,
        "Fo against kinematic Fc",
        sample_note(len(known), len(drawn), "reflections"),
        xaxis=log_axis("kinematic |Fc| [Å]", [low, high]),
        yaxis=log_axis("|Fo|, scaled to |Fc| [Å]", [low, high]),
        meta={"square": True},
        legend=legend_above(),
    )


def _on_scale(result: PlacementComparison, branch: BranchResult) -> np.ndarray:
    """Give Fo of a branch on the scale of Fc, with its overall B; nan without it."""
    d, found = result.common.d_spacing, branch.r1_common
    if branch.merged is None or found is None:
        return np.full(len(d), np.nan)
    f_o = amplitudes(branch.merged.intensity)
    return found.scale * f_o * np.exp(-0.25 * found.B / d**2)
