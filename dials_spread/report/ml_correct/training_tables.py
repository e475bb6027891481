"""
What a model trained on the data is worth, in tables.

Functions:
    training_tables: splits with controls, what is beside R1, compounds, features
"""

from __future__ import annotations

import numpy as np

from dials_spread.correction.features.published import PUBLISHED
from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL
from dials_spread.correction.validate.importance import Importance, by_shap
from dials_spread.correction.validate.scores import Score
from dials_spread.correction.validate.splits import SPLITS
from dials_spread.correction.validate.train_on_data import TrainingResult
from dials_spread.correction.validate.validation import Validation
from dials_spread.report.ml_correct.correction_verdict import R1_LABEL
from dials_spread.report.page.labels import digits
from dials_spread.report.page.tables import TextTable

METHODS = {
    "none": "no correction",
    "model": "model",
    "amplitudes": "control: mean of amplitudes",
    "resolution": "control: resolution alone",
    "shuffled": "control: targets shuffled in shells",
    "law": "control: two-parameter fit to the reference",
}

SHORT = {
    "none": "uncorrected",
    "model": "model",
    "amplitudes": "mean of amplitudes",
    "resolution": "resolution alone",
    "shuffled": "shuffled targets",
    "law": "two-parameter fit",
}
"""The same for plots."""

MOST_FEATURES = 15


def _meanings() -> dict[str, str]:
    """Say what each feature is; the registry refers to the row above here and there."""
    told, above = {}, ""
    for feature in (*MODEL_1, *REFLECTION_ALL, *PUBLISHED):
        if feature.meaning.startswith(SAME):
            told[feature.name] = f"{above}; here {feature.meaning[len(SAME) :]}".strip()
        else:
            told[feature.name] = above = feature.meaning
    return told


SAME = "the same"

MEANING = _meanings()
"""Of features by name."""


def training_tables(training: TrainingResult) -> list[TextTable]:
    """
    Tabulate how the model was tested, and what it rests on.

    Args:
        training: The model and its test.
    """
    validation = training.validation
    tables = [scores_table(validation), beside_table(validation)]
    if len(training.sources) > 1:
        tables.append(compounds_table(validation))
    return tables + importance_tables(training.importance)


def scores_table(validation: Validation) -> TextTable:
    """Tabulate R1 of all splits and controls, side by side."""
    header, rows = ["R1 of merged data"], []
    for split in SPLITS:
        header += [f"by {split}", "gain"]
    for method, title in METHODS.items():
        row = [title]
        for split in SPLITS:
            score = validation.score(split, method)
            row += ["not run", ""] if score is None else _cells(score)
        rows.append(row)
    return TextTable(f"Held-out data: {R1_LABEL}", header, rows)


def _cells(score: Score) -> list[str]:
    su = "" if not np.isfinite(score.gain_su) else f" ± {score.gain_su:.4f}"
    return [
        f"{score.r1:.4f}",
        "" if score.method == "none" else f"{score.gain:.4f}{su}".replace("-", "−"),
    ]


def beside_table(validation: Validation) -> TextTable:
    """Tabulate what stands beside R1."""
    header = [
        "split",
        "method",
        "CC",
        "log-likelihood",
        "R_meas with equal weights",
        "n",
    ]
    rows = [
        [
            f"by {s.split}",
            METHODS[s.method],
            digits(s.cc),
            digits(s.log_likelihood),
            digits(s.r_meas),
            digits(s.n),
        ]
        for split in SPLITS
        for s in (validation.score(split, method) for method in METHODS)
        if s is not None
    ]
    return TextTable("Held-out data: other figures", header, rows)


def compounds_table(validation: Validation) -> TextTable:
    """Tabulate R1 of each compound."""
    header, rows = ["compound", "split", "before", "after", "gain", "n"], []
    for split in SPLITS:
        score = validation.score(split)
        for one in () if score is None else score.compounds:
            rows.append(
                [
                    one.compound,
                    f"by {split}",
                    f"{one.r1 + one.gain:.4f}",
                    f"{one.r1:.4f}",
                    f"{one.gain:.4f} ± {one.gain_su:.4f}",
                    digits(one.n),
                ]
            )
    return TextTable("R1 of each compound", header, rows)


def importance_tables(importance: list[Importance]) -> list[TextTable]:
    """Tabulate what the model rests on: groups of features, then features."""
    groups = [one for one in importance if one.group]
    single = [one for one in importance if not one.group]
    n = importance[0].reflections
    title = f"rise of R1 of {n} held-out reflections where it is permuted"
    tables = [
        _importance_table(f"{what}: {title}", some)
        for what, some in (("Groups of features", groups), ("Features", single))
        if some
    ]
    explained = by_shap(importance)
    if explained:
        told = (
            f"Features: mean |SHAP| of {explained[0][1].explained} observations, in E"
        )
        rows = [
            [o.feature, f"{shap:.4f}", MEANING.get(o.feature, "")]
            for shap, o in explained[:MOST_FEATURES]
        ]
        tables.append(TextTable(told, ["feature", "mean |SHAP|", "what it is"], rows))
    return tables


def _importance_table(title: str, some: list[Importance]) -> TextTable:
    grouped = some[0].group
    with_shap = grouped and any(one.shap is not None for one in some)
    header, rows = ["feature", "rise"], []
    if with_shap:
        header.append("mean |SHAP|")
    if not grouped:
        header.append("what it is")
    for one in some[:MOST_FEATURES]:
        row = [one.feature, f"{one.r1_rise:+.4f}".replace("-", "−")]
        if with_shap:
            row.append(f"{one.shap:.4f}")
        rows.append(row if grouped else [*row, MEANING.get(one.feature, "")])
    return TextTable(title, header, rows)
