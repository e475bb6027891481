"""
A model of these very data, and what it is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.correction.driver import (
    CorrectionResult,
    Subject,
    correct_intensities,
)
from dials_spread.correction.estimates import estimate_less_bias
from dials_spread.correction.learning import (
    LearningData,
    feature_importance,
    learning_data,
    train_model,
)
from dials_spread.correction.truth import find_reference, match
from dials_spread.correction.validation import Validation, validate
from dials_spread.ml.splits import parse_range
from dials_spread.ml.store import Model
from dials_spread.rfactor import Assessment, assess


@dataclass(frozen=True)
class Training:
    """
    A model, tested on what it has not seen.

    Attributes:
        data: What was learnt from.
        validation: Splits and controls.
        importance: What the model rests on, see learning.feature_importance.
        correction: By models that had not seen the reflection in question.
        by_crystal: R1 of each crystal with models of other crystals, before and after;
            None where that split was not run.
        model: Trained on all, or on train.crystals; None where none is kept.
    """

    data: LearningData
    validation: Validation
    importance: list[dict[str, object]]
    correction: CorrectionResult
    by_crystal: tuple[Assessment, Assessment] | None
    model: Model | None


def train_on(
    subject: Subject,
    reference: str,
    *,
    column: str | None = None,
    features: str = "physical",
    crystals: tuple[str | None, str | None] = (None, None),
    keep: bool = True,
    strength: float = 1.0,
    force: bool = False,
    seed: int = 0,
    nproc: int | None = None,
) -> Training:
    """
    Train a model on data with a reference, and test it.

    Args:
        subject: The data, from get_subject.
        reference: Name of the file whose amplitudes are taken for the truth.
        column: Label of the column of a list.
        features: "physical" or "published".
        crystals: Ranges to train and to test on in the split by crystal.
        keep: Fit a model for a model file.
        strength: Of the correction.
        force: Train even on a reference that is no better than chance.
        seed: Of folds and fits.
        nproc: Threads; all cores by default.

    Raises:
        ValueError: The reference cannot be used, or the ranges make no sense.
    """
    rng = np.random.default_rng(seed)
    file = find_reference(subject.observations, reference, column)
    found = match(file, subject.prepared, rng)
    if not found.believed and not force:
        raise ValueError(
            f"{found.warnings[0]} Nothing can be learnt from it; force=True does so all "
            "the same"
        )
    data = learning_data(subject.prepared, found.f_calc, features, nproc)
    validation = validate(data, rng, *crystals)
    ready = estimate_less_bias(subject.prepared, validation.bias)
    return Training(
        data=data,
        validation=validation,
        importance=feature_importance(data, rng),
        correction=correct_intensities(
            subject,
            strength=strength,
            reference=reference,
            column=column,
            seed=seed,
            nproc=nproc,
            ready=ready,
        ),
        by_crystal=_by_crystal(subject, data, validation),
        model=_model(data, file.source, validation, crystals[0], seed)
        if keep
        else None,
    )


def _model(
    data: LearningData,
    source: str,
    validation: Validation,
    crystals: str | None,
    seed: int,
) -> Model:
    """Fit the model that is kept, its test on its card."""
    figures = {"splits": [s.as_dict() for s in validation.scores]}
    rows = _rows(data, crystals)
    return train_model(data, source, _finite(figures), rows, seed)


def _rows(data: LearningData, crystals: str | None) -> np.ndarray:
    """Say which observations the model that is kept learns from."""
    measured = data.prepared.measured
    if crystals is None:
        return np.ones(len(measured), dtype=bool)
    return np.isin(measured.crystal, parse_range(crystals, measured.n_crystals))


def _finite(figures: dict) -> dict:
    """A card holds finite numbers only."""
    for score in figures["splits"]:
        for key, value in score.items():
            if isinstance(value, float) and not np.isfinite(value):
                score[key] = None
    return figures


def _by_crystal(
    subject: Subject, data: LearningData, validation: Validation
) -> tuple[Assessment, Assessment] | None:
    """Compare each crystal, corrected by a model of others, with the reference."""
    bias, prepared = validation.crystal_bias, data.prepared
    if bias is None:
        return None
    left = prepared.E_i - np.where(np.isfinite(bias), bias, 0)
    N = prepared.N[prepared.measured.unique]
    plain = (prepared.intensity, prepared.sigma**2)
    corrected = (np.sign(left) * left**2 * N, prepared.sigma**2)
    return (
        assess(subject.observations, data.f_calc, *plain),
        assess(subject.observations, data.f_calc, *corrected),
    )
