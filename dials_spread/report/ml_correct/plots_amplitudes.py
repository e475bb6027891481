"""
Plots of amplitudes: before against after, predicted errors, those that changed most.

Functions:
    before_after_plot: |F| after against |F| before, with errors
    most_changed_plot: changes of |F| against resolution
    error_plots: predicted errors against resolution and strength
    reference_plot: Fo against Fc, before and after
"""

from __future__ import annotations

import numpy as np

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.correction.apply.changes import change_shells
from dials_spread.report.ml_correct.before_after import BeforeAfter
from dials_spread.report.ml_correct.correction_tables import MOST_REFLECTIONS
from dials_spread.report.ml_correct.correction_verdict import (
    EXPECTED_ERROR,
    RELATIVE_CHANGE,
)
from dials_spread.report.page.labels import hkl_label
from dials_spread.report.page.plot_parts import (
    amplitude_limits,
    diagonal,
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

BEFORE_AFTER_HELP = """
Merged amplitude of each reflection before the correction (along x, with the error that
follows from σ(I)) and after it (along y, with the predicted error where the model predicts
one, else from σ(I) as well). Axes are logarithmic; what is nought or weaker than the axis
shows stands on the frame. On the dashed line nothing changed. Multiple scattering makes
weak reflections too strong, so most of a correction is a fall below the line on the left.
Red dots are the reflections that changed most, listed in a table below.
"""

MOST_CHANGED_HELP = """
By how much the amplitude of each reflection changed, against its resolution. Red dots are
the reflections that changed most. Good is a cloud about zero at high resolution that widens
towards strong reflections; single reflections far out deserve a look, as do many of one sign.
"""

ERROR_RESOLUTION_HELP = """
The mean error of amplitudes that the model predicts (sum over a shell, over the sum of
amplitudes after), and by how much they were changed (over the sum of those before), as in
the table by resolution. Where the change (grey) is below the predicted
error (blue) the correction moved amplitudes by less than it may be wrong.
"""

ERROR_STRENGTH_HELP = """
The predicted relative error of each amplitude against its normalised amplitude E after the
correction (⟨E²⟩ = 1). Weak reflections are uncertain by a large part of themselves. Good
is a cloud that falls to about 0.1 on the right.
"""

REFERENCE_HELP = """
Fo, merged with weights 1/σ² and scaled with one factor, against kinematic Fc of the
reference, before (grey) and after (blue); what is nought stands on the frame. Good is a narrow band about the dashed line. A grey cloud that bends upwards
on the left shows multiple scattering; the blue one should follow the line there.
"""

MOST_WITH_ERRORS = 1500
"""Error bars that a browser draws without delay."""

_BOLD = {"marker": {"opacity": 0.95, "size": 6}}

AMPLITUDE = "|F|, arbitrary scale"


def _labels(pair: BeforeAfter, which: np.ndarray) -> list[str]:
    return [
        f"{hkl_label(pair.miller_index[k])}, {pair.d_spacing[k]:.2f} Å" for k in which
    ]


def _error_bars(sigma: np.ndarray, at: np.ndarray, low: float) -> dict:
    """Draw errors that end at the frame of a logarithmic axis."""
    colour = "rgba(120,120,120,0.35)"
    down = np.minimum(sigma, at - 0.8 * low)
    return {
        **{"type": "data", "symmetric": False, "array": sigma, "arrayminus": down},
        **{"thickness": 1, "width": 0, "color": colour},
    }


def _changed(pair: BeforeAfter) -> np.ndarray:
    """Number those that are listed; none where nothing changed."""
    most = pair.most_changed(MOST_REFLECTIONS)
    return most[pair.after.F[most] != pair.before.F[most]]


def before_after_plot(pair: BeforeAfter) -> dict:
    """
    Draw amplitudes after against those before, with errors.

    Args:
        pair: The data before and after.
    """
    predicted = pair.predicted_sigma_F
    sigma = pair.after.sigma_F if predicted is None else predicted
    drawn, most = sample(len(pair.d_spacing), MOST_WITH_ERRORS), _changed(pair)
    low, high = amplitude_limits(pair.before.F, pair.after.F)
    x, y = (np.maximum(F, low) for F in (pair.before.F, pair.after.F))
    data = [
        points(
            x[drawn],
            y[drawn],
            BLUE,
            "reflections",
            text=_labels(pair, drawn),
            error_x=_error_bars(pair.before.sigma_F[drawn], x[drawn], low),
            error_y=_error_bars(sigma[drawn], y[drawn], low),
        ),
        points(
            x[most], y[most], RED, "changed most", text=_labels(pair, most), **_BOLD
        ),
        diagonal(high, low),
    ]
    note = sample_note(len(x), len(drawn), "reflections")
    return new_plot(
        data,
        BEFORE_AFTER_HELP,
        "|F| after against before",
        note,
        xaxis=log_axis(f"before: {AMPLITUDE}", [low, high]),
        yaxis=log_axis(f"after: {AMPLITUDE}", [low, high]),
        meta={"square": True},
        legend=legend_above(),
    )


def most_changed_plot(pair: BeforeAfter) -> dict:
    """
    Draw changes of amplitudes against resolution.

    Args:
        pair: The data before and after.
    """
    change, drawn, most = (
        pair.after.F - pair.before.F,
        sample(len(pair.n)),
        _changed(pair),
    )
    x = 1 / pair.d_spacing**2
    told = _labels(pair, most)
    data = [
        points(x[drawn], change[drawn], BLUE, "all", text=_labels(pair, drawn)),
        points(x[most], change[most], RED, "changed most", text=told, **_BOLD),
    ]
    return new_plot(
        data,
        MOST_CHANGED_HELP,
        "Change of each |F|",
        xaxis=resolution_axis(float(pair.d_spacing.max()), float(pair.d_spacing.min())),
        yaxis=axis("|F| after − before, arbitrary scale", zeroline=True),
        legend=legend_above(),
    )


def error_plots(result: CorrectionResult, pair: BeforeAfter) -> dict[str, dict]:
    """
    Draw predicted errors; nothing where none are predicted.

    Args:
        result: The correction.
        pair: The data before and after.
    """
    sigma = pair.predicted_sigma_F
    if sigma is None:
        return {}
    return {
        "errors_by_resolution": _errors_by_resolution(result, pair),
        "errors_by_strength": _errors_by_strength(pair, sigma),
    }


def _errors_by_resolution(result: CorrectionResult, pair: BeforeAfter) -> dict:
    changes = result.changes["resolution"]
    x = shell_middles(change_shells(pair.d_spacing))
    change, error = (
        np.array([getattr(c, key) for c in changes], dtype=float)
        for key in ("change", "error")
    )
    data = [
        line(x, change, GREY, RELATIVE_CHANGE),
        line(x, error, BLUE, EXPECTED_ERROR),
    ]
    limits = float(pair.d_spacing.max()), float(pair.d_spacing.min())
    return new_plot(
        data,
        ERROR_RESOLUTION_HELP,
        "Predicted error by resolution",
        xaxis=resolution_axis(*limits),
        yaxis=axis("relative to ΣF of the shell", rangemode="tozero"),
        legend=legend_above(),
    )


def _errors_by_strength(pair: BeforeAfter, sigma: np.ndarray) -> dict:
    E = np.sqrt(np.maximum(pair.after.z, 0))
    known = np.flatnonzero(pair.after.F > 0)
    drawn = known[sample(len(known))]
    relative = np.minimum(sigma[drawn] / pair.after.F[drawn], 2.0)
    return new_plot(
        [points(E[drawn], relative, BLUE, "reflections", text=_labels(pair, drawn))],
        ERROR_STRENGTH_HELP,
        "Predicted error by strength",
        xaxis=axis("E after (⟨E²⟩ = 1)", rangemode="tozero"),
        yaxis=axis("σ(F) / F, at most 2", range=[0, 2.05]),
        showlegend=False,
    )


def reference_plot(
    result: CorrectionResult, truth: ReferenceCheck, pair: BeforeAfter
) -> dict:
    """
    Draw Fo against Fc, before and after.

    Args:
        result: The correction.
        truth: The reference.
        pair: The data before and after.
    """
    known = np.flatnonzero(np.isfinite(truth.match.f_calc))
    drawn = known[sample(len(known))]
    f_calc, told = truth.match.f_calc[drawn], _labels(pair, drawn)
    weighted = truth.before_weighted.merged
    before = result.F_before[drawn] * weighted.scale[0]
    after = result.F[drawn] * truth.after.merged.scale[0]
    r1 = float(weighted.r1[0]), truth.r1[1]
    low, high = amplitude_limits(f_calc, before, after)
    x, before, after = (np.maximum(F, low) for F in (f_calc, before, after))
    return new_plot(
        [
            points(x, before, GREY, f"before, R1 {r1[0]:.3f}", text=told),
            points(x, after, BLUE, f"after, R1 {r1[1]:.3f}", text=told),
            diagonal(high, low),
        ],
        REFERENCE_HELP,
        "Fo against kinematic Fc",
        xaxis=log_axis("kinematic |Fc|, unit of the reference", [low, high]),
        yaxis=log_axis("|Fo|, scaled to |Fc|", [low, high]),
        meta={"square": True},
        legend=legend_above(),
    )
