"""
Plots of a model trained on the data: splits, crystals, predicted errors, features.

Functions:
    training_plots: all of them
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials_spread.correction.validate.importance import Importance, by_shap
from dials_spread.correction.validate.splits import SPLITS
from dials_spread.correction.validate.train_on_data import TrainingResult
from dials_spread.correction.validate.unseen_errors import UnseenErrors
from dials_spread.correction.validate.validation import Validation
from dials_spread.report.ml_correct.correction_verdict import R1_LABEL
from dials_spread.report.ml_correct.plots_crystals import CrystalDots, crystals_r1_plot
from dials_spread.report.ml_correct.training_tables import METHODS, MOST_FEATURES, SHORT
from dials_spread.report.page.plot_parts import diagonal, points
from dials_spread.report.page.plot_style import (
    BLUE,
    GREY,
    RED,
    axis,
    legend_above,
    named_axis,
    new_plot,
)
from dials_spread.statistics import ONE_SIGMA

SPLITS_HELP = """
R1 against kinematic Fc of the reference, without correction (grey), by the model (blue) and by
the controls, for held-out crystals, unique reflections and compounds. The split by crystal flatters always: other crystals of the compound have the same amplitudes.
Good is a blue bar that is shorter than all others by reflection and by compound.
"""

IMPORTANCE_HELP = """
By how much R1 of held-out reflections rises where the values of one feature, or of a group of
features (grey), are permuted among observations. Long bars are what the model
rests on; features that tell the same as others have short ones, so the groups say more.
"""

SHAP_HELP = """
Mean absolute SHAP value of each feature: how much of a predicted deviation, in normalised
amplitudes, it accounts for. These say what the model does, whether that is right or wrong.
"""

ERRORS_HELP = """
Held-out reflections, in bins of the predicted standard deviation of their
normalised amplitude: 68.3 % of the true errors in a bin are within the value upwards. Good
is on the dashed line; above it, errors are larger than predicted. A short range along x
means that the model does not know which reflections are good.
"""

N_BINS = 8
"""Of predicted errors."""

COLOURS = {"reflection": BLUE, "compound": RED}


def training_plots(training: TrainingResult) -> dict[str, dict]:
    """
    Draw splits, controls, crystals, errors and features.

    Args:
        training: The model and its test.
    """
    plots = {"splits": _splits_plot(training.validation)}
    if training.by_crystal:
        plots["crystals_unseen"] = crystals_r1_plot(
            _crystal_dots(training), "R1 of held-out crystals"
        )
    errors = training.validation.errors
    if any(e.coverage is not None for e in errors.values()):
        plots["errors"] = _errors_plot(errors)
    plots["importance"] = _importance_plot(training.importance)
    if any(one.shap is not None for one in training.importance):
        plots["shap"] = _shap_plot(training.importance)
    return plots


def _crystal_dots(training: TrainingResult) -> list[CrystalDots]:
    dots = []
    for some in training.by_crystal:
        several = len(training.by_crystal) > 1
        of = f" of {some.compound}" if several else ""
        names = [f"crystal {c}{of}" for c in some.crystals.tolist()]
        for kind, (before, after) in some.r1.items():
            dots.append(CrystalDots(kind, names, before.r1, after.r1, some.seen))
    return dots


def _bar_plot(
    named: tuple[Sequence[str], Sequence[float], Sequence[str] | str],
    help_text: str,
    title: str,
    along_y: str,
) -> dict:
    """Draw bars: their names, values and colours."""
    names, values, colours = named
    bars = {
        **{"type": "bar", "x": list(range(len(names))), "y": list(values), "name": ""},
        **{"width": [0.8] * len(names), "marker": {"color": colours}},
    }
    return new_plot(
        [bars],
        help_text,
        title,
        xaxis=named_axis("", names, tickangle=-45),
        yaxis=axis(along_y),
        showlegend=False,
        height=480,
    )


def _splits_plot(validation: Validation) -> dict:
    scores = [
        score
        for split in SPLITS
        for score in (validation.score(split, method) for method in METHODS)
        if score is not None
    ]
    names = [f"{s.split}: {SHORT[s.method]}" for s in scores]
    colours = [BLUE if s.method == "model" else GREY for s in scores]
    bars = (names, [s.r1 for s in scores], colours)
    return _bar_plot(bars, SPLITS_HELP, "R1 of held-out data", R1_LABEL)


def _importance_plot(importance: Sequence[Importance]) -> dict:
    groups = [one for one in importance if one.group]
    some = [*groups, *[one for one in importance if not one.group][:MOST_FEATURES]]
    colours = [GREY if one.group else BLUE for one in some]
    bars = ([o.feature for o in some], [o.r1_rise for o in some], colours)
    title = "What the model rests on"
    return _bar_plot(bars, IMPORTANCE_HELP, title, "rise of R1")


def _shap_plot(importance: Sequence[Importance]) -> dict:
    some = by_shap(importance)[:MOST_FEATURES]
    bars = ([o.feature for _, o in some], [shap for shap, _ in some], BLUE)
    title = "SHAP values"
    return _bar_plot(
        bars,
        SHAP_HELP,
        title,
        f"mean |SHAP| of {some[0][1].explained:,} observations [E]",
    )


def _errors_plot(errors: dict[str, UnseenErrors]) -> dict:
    """Draw true errors against predicted ones."""
    data, end = [], 0.0
    for split, some in errors.items():
        kept = np.isfinite(some.error) & np.isfinite(some.predicted)
        order = np.argsort(some.predicted[kept])
        predicted = some.predicted[kept][order]
        off = np.abs(some.error[kept])[order]
        bins = [b for b in np.array_split(np.arange(len(off)), N_BINS) if len(b)]
        x = [float(np.mean(predicted[b])) for b in bins]
        y = [float(np.quantile(off[b], ONE_SIGMA)) for b in bins]
        end = max([end, *x, *y])
        text = [f"{len(b)} reflections" for b in bins]
        marker = {"size": 9, "opacity": 0.9}
        more = {"text": text, "marker": marker}
        data.append(points(x, y, COLOURS[split], f"held-out {split}s", **more))
    return new_plot(
        [*data, diagonal(1.1 * end)],
        ERRORS_HELP,
        "Errors of amplitudes, predicted and true",
        xaxis=axis("predicted standard deviation of E", rangemode="tozero"),
        yaxis=axis("68.3 % of errors are within", rangemode="tozero"),
        legend=legend_above(),
    )
