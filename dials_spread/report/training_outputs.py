"""
From a model that was trained on the data, and its test, to log and files.
"""

from __future__ import annotations

import io
import logging

import numpy as np

from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.correction.training import Training
from dials_spread.correction.validation import Score, Validation
from dials_spread.ml.store import model_bytes
from dials_spread.report.correction_outputs import (
    correction_document,
    correction_plots,
    table_files,
    write_all,
)
from dials_spread.report.correction_sentences import (
    correction_sentences,
    correction_tables,
)
from dials_spread.report.document import Provenance, finite, write_json
from dials_spread.report.plot_style import BLUE, GREY, axis, new_plot
from dials_spread.report.plots_correction import crystals_r1_plot
from dials_spread.report.simulation_page import Table, simulation_page

logger = logging.getLogger("dials.spread.training_outputs")

METHODS = {
    "none": "no correction",
    "model": "model",
    "amplitudes": "control: mean of amplitudes",
    "resolution": "control: given the resolution alone",
    "shuffled": "control: targets shuffled in shells",
    "law": "control: two-parameter law fitted to the answer",
}

SPLITS_HELP = """
R1 of merged amplitudes against the reference, without correction (grey), by the model (blue)
and by the controls, for crystals and for unique reflections that a model had not seen. The
split by crystal flatters always: other crystals of the compound have the same amplitudes.
Good is a blue bar that is shorter than all others in the split by reflection.
"""

IMPORTANCE_HELP = """
By how much R1 of unseen reflections rises where the values of one feature, or of a group of
features, are dealt out at random among observations. Long bars are what the model rests on;
features that tell the same as others have short ones, so the groups say more.
"""

MOST_FEATURES = 15


def scores_table(validation: Validation) -> Table:
    """Tabulate both splits and all controls."""
    header, rows = ["merged R1", "by crystal", "gain", "by reflection", "gain"], []
    for method, title in METHODS.items():
        row = [title]
        for split in ("crystal", "reflection"):
            score = validation.score(split, method)
            row += ["not run", ""] if score is None else _cells(score)
        rows.append([*row, "not run"])
    return Table("What the model has not seen", [*header, "by compound"], rows)


def _cells(score: Score) -> list[str]:
    su = "" if not np.isfinite(score.gain_su) else f" ± {score.gain_su:.4f}"
    return [
        f"{score.r1:.4f}",
        "" if score.method == "none" else f"{score.gain:.4f}{su}",
    ]


def importance_table(training: Training) -> Table:
    """Tabulate what the model rests on."""
    rows = [
        [one["feature"], f"{one['r1_rise']:+.4f}"]
        for one in training.importance[:MOST_FEATURES]
    ]
    n = training.importance[0]["reflections"]
    title = f"Rise of R1 of {n} unseen reflections where a feature is permuted"
    return Table(title, ["feature", "rise"], rows)


def verdict(validation: Validation) -> str:
    """Say in one line whether the model learned anything about scattering."""
    before = validation.score("reflection", "none")
    after = validation.score("reflection")
    told = (
        f"Reflections that the model had not seen: R1 {before.r1:.4f} before, "
        f"{after.r1:.4f} after, {after.n} reflections, gain {after.gain:.4f}"
        f"({after.gain_su:.4f}); "
        f"{validation.score('reflection', 'amplitudes').r1:.4f} without learning, by the "
        "mean of amplitudes"
    )
    if validation.improves:
        return f"{told}."
    return (
        f"{told}: NO IMPROVEMENT. What the split by crystal shows is knowledge of this "
        "compound's amplitudes, and of no use for another."
    )


def training_sentences(training: Training) -> list[str]:
    """Say how the model was tested."""
    validation = training.validation
    told = [verdict(validation)]
    score, before = validation.score("crystal"), validation.score("crystal", "none")
    if score is not None:
        how = f"{validation.folds['crystal']} folds"
        if validation.seen.any():
            how = f"{int(validation.seen.sum())} crystals for training"
        told.append(
            f"Crystals that the model had not seen ({how}): R1 {before.r1:.4f} before, "
            f"{score.r1:.4f} after. Never the headline: the reflections were seen."
        )
    told += [f"Split by {k} not run: {why}." for k, why in validation.reasons.items()]
    return told


def training_plots(training: Training) -> dict[str, dict]:
    """Draw splits, controls, crystals and features."""
    plots = {"splits": _splits_plot(training.validation)}
    if training.by_crystal is not None:
        before, after = training.by_crystal
        plots["crystals_unseen"] = crystals_r1_plot(
            before.crystal.r1,
            after.crystal.r1,
            training.correction.truth.label,
            training.validation.seen,
            "R1 of each crystal by a model of other crystals",
        )
    plots["importance"] = _importance_plot(training)
    return plots


def _splits_plot(validation: Validation) -> dict:
    scores = [
        score
        for split in ("crystal", "reflection")
        for score in (validation.score(split, method) for method in METHODS)
        if score is not None
    ]
    names = [f"{s.split}: {s.method}" for s in scores]
    places = list(range(len(scores)))
    colours = [BLUE if s.method == "model" else GREY for s in scores]
    bars = {"type": "bar", "x": places, "y": [s.r1 for s in scores], "width": [0.8]}
    bars["width"] = [0.8] * len(scores)
    ticks = {"tickvals": places, "ticktext": names, "tickangle": -30}
    return new_plot(
        [{**bars, "marker": {"color": colours}, "name": "R1"}],
        SPLITS_HELP,
        "R1 of what the model had not seen",
        xaxis=axis("", **ticks),
        yaxis=axis("R1", rangemode="tozero"),
        showlegend=False,
        margin={"l": 70, "r": 20, "t": 60, "b": 130},
    )


def _importance_plot(training: Training) -> dict:
    some = training.importance[:MOST_FEATURES]
    places = list(range(len(some)))
    names = [one["feature"] for one in some]
    ticks = {"tickvals": places, "ticktext": names, "tickangle": -45}
    bars = {"type": "bar", "x": places, "y": [one["r1_rise"] for one in some]}
    return new_plot(
        [
            {
                **bars,
                "width": [0.8] * len(some),
                "marker": {"color": BLUE},
                "name": "rise",
            }
        ],
        IMPORTANCE_HELP,
        "What the model rests on",
        xaxis=axis("", **ticks),
        yaxis=axis("rise of R1"),
        showlegend=False,
        margin={"l": 70, "r": 20, "t": 60, "b": 150},
    )


def training_document(provenance: Provenance, training: Training) -> dict:
    """
    Put the results together as the JSON document.

    Args:
        provenance: Command, files and parameters.
        training: The model and its test.
    """
    document = correction_document(provenance, training.correction)
    model = None
    if training.model is not None:
        model = training.model.card.as_dict()
        model.pop("features")
    by_crystal = training.by_crystal
    validation = {
        **training.validation.as_dict(),
        "r1_by_crystal": by_crystal
        and {
            "before": by_crystal[0].crystal.as_dict(),
            "after": by_crystal[1].crystal.as_dict(),
            "trained_on": np.flatnonzero(training.validation.seen).tolist(),
        },
    }
    own = {"validation": validation, "features": training.importance, "model": model}
    return finite({**document, **own})


def write_training(
    training: Training,
    corrected: tuple[ExperimentList, flex.reflection_table] | None,
    provenance: Provenance,
    output,
    log: io.StringIO,
) -> dict:
    """
    Write the model and the tables where there are any, log, JSON and report.

    Args:
        training: The model and its test.
        corrected: Experiments and reflections; None where none are to be written.
        provenance: Command, files and parameters.
        output: Names of files, as the command's ``output`` scope.
        log: What has been logged.

    Returns:
        The JSON document.
    """
    document = training_document(provenance, training)
    told = training_sentences(training) + correction_sentences(training.correction)
    tables = [scores_table(training.validation), importance_table(training)]
    tables += correction_tables(training.correction)
    for table in tables:
        logger.info("\n%s", table.as_text())
    logger.info("\nSummary:\n\n%s\n", "\n\n".join(told))
    contents = {} if corrected is None else table_files(corrected, output)
    if training.model is not None and output.model:
        contents[output.model] = model_bytes(training.model)
    if output.json:
        contents[output.json] = write_json(document).encode("utf-8")
    if output.html:
        plots = {**training_plots(training), **correction_plots(training.correction)}
        title = "A model of these data, and what it is worth"
        page = simulation_page(document, title, told, tables, plots)
        contents[output.html] = page.encode("utf-8")
    write_all(contents, output.log, log, verdict(training.validation))
    return document
