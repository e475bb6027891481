"""
Plots of a correction: what it changed, and R1 before and after.

Functions:
    factors_plot: factors of observations against the strength of their reflections
    changes_plot: by resolution
    shells_r1_plot: by resolution shell
    images_r1_plot: by image
"""

from __future__ import annotations

import numpy as np

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.correction.apply.changes import change_shells
from dials_spread.report.ml_correct.before_after import BeforeAfter
from dials_spread.report.ml_correct.correction_verdict import (
    R1_LABEL,
    RATIO,
    RELATIVE_CHANGE,
)
from dials_spread.report.page.plot_parts import (
    before_line,
    line,
    points,
    resolution_axis,
    shell_middles,
)
from dials_spread.report.page.plot_style import (
    BLUE,
    GREY,
    RED,
    axis,
    legend_above,
    log_axis,
    new_plot,
    sample,
    sample_note,
)

BIN = 0.025
"""Width of the bins of R1 of images."""

FACTORS_HELP = """
What each observed intensity was multiplied with, against the normalised amplitude E of its
reflection before (⟨E²⟩ = 1). Multiple scattering makes weak reflections too strong and
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
    limits = min(0.5, float(factor.min())), max(2.0, float(factor.max()))
    return new_plot(
        [points(E, factor[drawn], BLUE, "observations")],
        FACTORS_HELP,
        "Correction factors of intensities",
        note,
        xaxis=axis("E before (⟨E²⟩ = 1)", rangemode="tozero"),
        yaxis=log_axis("correction factor", limits),
        showlegend=False,
    )


def changes_plot(result: CorrectionResult, pair: BeforeAfter) -> dict:
    """
    Draw the change of amplitudes by resolution, as the table has it.

    Args:
        result: The correction.
        pair: The data before and after.
    """
    changes = result.changes["resolution"]
    x = shell_middles(change_shells(pair.d_spacing))
    return new_plot(
        [
            line(x, np.array([c.ratio for c in changes]), BLUE, RATIO),
            line(x, np.array([c.change for c in changes]), RED, RELATIVE_CHANGE),
        ],
        CHANGES_HELP,
        "Change of |F| by resolution",
        xaxis=resolution_axis(float(pair.d_spacing.max()), float(pair.d_spacing.min())),
        yaxis=axis("relative to |F| before", rangemode="tozero"),
        legend=legend_above(),
    )


def shells_r1_plot(truth: ReferenceCheck) -> dict:
    """
    Draw R1 by resolution shell.

    Args:
        truth: Before and after.
    """
    shells = truth.before.shells
    told = [f"{a:.2f}–{b:.2f} Å" for a, b in zip(shells.d_max, shells.d_min)]
    x = shell_middles(shells)
    return new_plot(
        [
            before_line(x, truth.before.shell.r1, text=told),
            line(x, truth.after.shell.r1, BLUE, "after", text=told),
        ],
        SHELLS_HELP,
        f"{R1_LABEL} by resolution",
        xaxis=resolution_axis(float(shells.d_max[0]), float(shells.d_min[-1])),
        yaxis=axis("R1", rangemode="tozero"),
        legend=legend_above(),
    )


def images_r1_plot(truth: ReferenceCheck) -> dict:
    """
    Draw how R1 of images is distributed.

    Args:
        truth: Before and after.
    """
    data = []
    images = truth.before.image, truth.after.image
    values = [image.r1[(image.n >= 5) & np.isfinite(image.r1)] for image in images]
    # Bins of 0.025 over what there is; R1 above 1 goes into the last one.
    last = float(np.clip(np.max(np.concatenate(values), initial=0.1), 0.1, 1))
    n_bins = int(np.ceil(last / BIN - 1e-9))
    for r1, colour, name in zip(values, (GREY, BLUE), ("before", "after")):
        bins = BIN * np.arange(n_bins + 1)
        count, edges = np.histogram(np.minimum(r1, bins[-1]), bins)
        middle = 0.5 * (edges[1:] + edges[:-1])
        marker = {"color": colour, "opacity": 0.6}
        bars = {"type": "bar", "x": middle, "y": count, "width": np.diff(edges)}
        data.append({**bars, "name": name, "marker": marker})
    return new_plot(
        data,
        IMAGES_HELP,
        "R1 of images with 5 or more reflections",
        xaxis=axis(R1_LABEL, range=[0, BIN * n_bins]),
        yaxis=axis("number of images"),
        barmode="overlay",
        bargap=0,
        legend=legend_above(),
    )
