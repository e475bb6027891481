"""
The general model: both models of two_models and one of the error, in one model file.

Functions:
    pack, unpack: to and from what a model file holds
    correct_compound: corrected amplitudes with error bars, and the R1 to be expected
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dials_spread.ml.card import Card
from dials_spread.ml.features import FeatureSet
from dials_spread.ml.forest import Forest, forest_of
from dials_spread.ml.registry import MODEL_1, REFLECTION_ALL, names
from dials_spread.ml.store import Model, check_features
from dials_spread.ml.two_models import (
    AVERAGE_COLUMNS,
    Averages,
    TwoModels,
    average,
    reflection_rows,
)

OBSERVATION_PARTS = ("bias", "scatter")
REFLECTION_PARTS = ("correction", "error")

REFLECTION_COLUMNS = (*names(REFLECTION_ALL), *AVERAGE_COLUMNS)
"""Columns that model 2 sees."""

SMALLEST_ERROR = 0.01
"""Of a normalised amplitude: nothing is known better."""


@dataclass(frozen=True)
class GeneralModel:
    """
    What corrects a compound that was never seen.

    Attributes:
        models: Of observations and of reflections.
        error: Regressor of the absolute error of corrected normalised amplitudes.
    """

    models: TwoModels
    error: Any


@dataclass(frozen=True)
class Corrected:
    """
    A corrected compound.

    Attributes:
        E: Shape (u,), normalised amplitudes, not negative.
        error: Shape (u,), expected absolute error of E.
        F: Shape (u,), E √N, on the scale of the merged intensities.
        error_F: Shape (u,).
        averages: Of model 1.
        predicted_r1: R1 to be expected, Σ error_F / Σ F.
    """

    E: np.ndarray
    error: np.ndarray
    F: np.ndarray
    error_F: np.ndarray
    averages: Averages
    predicted_r1: float


def correct_compound(general: GeneralModel, features: FeatureSet) -> Corrected:
    """
    Correct a compound.

    Args:
        general: The model.
        features: Of the compound.
    """
    models = general.models
    averages = average(features, models.bias, models.scatter)
    rows = reflection_rows(features, averages)
    E = np.maximum(averages.L_mb + models.correction.predict(rows), 0)
    error = np.maximum(general.error.predict(rows), SMALLEST_ERROR)
    root_N = np.sqrt(features.N)
    return Corrected(
        E=E,
        error=error,
        F=E * root_N,
        error_F=error * root_N,
        averages=averages,
        predicted_r1=float(np.sum(error * root_N) / np.sum(E * root_N)),
    )


def pack(general: GeneralModel, card: Card, settings: Mapping[str, float]) -> Model:
    """
    Turn fitted regressors into what a model file holds.

    Args:
        general: Of scikit-learn's HistGradientBoostingRegressors.
        card: What the file says of itself.
        settings: Numbers that go with it.
    """
    models = general.models
    forests = {
        "bias": forest_of(models.bias, names(MODEL_1)),
        "scatter": forest_of(models.scatter, names(MODEL_1)),
        "correction": forest_of(models.correction, REFLECTION_COLUMNS),
        "error": forest_of(general.error, REFLECTION_COLUMNS),
    }
    return Model(card, forests, dict(settings))


def unpack(model: Model) -> GeneralModel:
    """
    Take the regressors out of a model file.

    Args:
        model: As `read_model` gives it.

    Raises:
        ValueError: A part is missing, or was made for other features; they are named.
    """
    for part in OBSERVATION_PARTS:
        check_features(model, part, names(MODEL_1))
    for part in REFLECTION_PARTS:
        check_features(model, part, REFLECTION_COLUMNS)
    forests: Mapping[str, Forest] = model.forests
    two = TwoModels(forests["bias"], forests["scatter"], forests["correction"])
    return GeneralModel(two, forests["error"])
