"""
Corrected amplitudes: by weights alone, or by a model file.

A model file holds either the general model, for compounds that it has never seen, or a
model that dials.ml_correct trained on data of the user; its parts tell which.

Functions:
    choose_model: the model that a user wants, or None for weights alone
    estimate: amplitudes of the unique reflections
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dials_spread.correction.apply.error_law import (
    MEAN_OF_NORMAL,
    error_parts,
    law_from,
)
from dials_spread.correction.apply.factors import relative_factors
from dials_spread.correction.features.all_features import features_of
from dials_spread.correction.features.published import PUBLISHED, published_features
from dials_spread.correction.features.registry import MODEL_1, names
from dials_spread.correction.model.general import correct_prepared, is_general, unpack
from dials_spread.correction.model.model_file import Model, check_features, read_model
from dials_spread.correction.model.shrinkage import predict_ensemble
from dials_spread.prepare.prepared import Prepared
from dials_spread.prepare.weights import estimate_amplitudes
from dials_spread.statistics.groups import group_means

logger = logging.getLogger("dials.spread.estimates")

SHIPPED = Path(__file__).parents[1] / "model" / "models" / "general.safetensors"
"""The model that comes with the package."""

METHODS = ("auto", "weights", "model")


@dataclass(frozen=True)
class CorrectedAmplitudes:
    """
    Amplitudes of the unique reflections, corrected.

    Attributes:
        method: "weights" or "model".
        F: Shape (u,), on the scale of the merged intensities, not negative.
        relative: Shape (n,), what sets an observation apart from the others of its
            reflection.
        error_F: Shape (u,), expected absolute error of F; None where nothing says it.
        sigma_F: Shape (u,), its standard deviation: two thirds of the errors are within;
            None likewise.
        predicted_r1: R1 to be expected; None likewise.
        n_passages: Observations when those are joined that list one passage through the
            Ewald sphere several times; None where that was not looked at.
    """

    method: str
    F: np.ndarray
    relative: np.ndarray
    error_F: np.ndarray | None = None
    sigma_F: np.ndarray | None = None
    predicted_r1: float | None = None
    n_passages: int | None = None


def choose_model(method: str = "auto", model: str | None = None) -> Model | None:
    """
    Find the model that is to be used.

    Args:
        method: "weights", "model", or "auto": a model where there is one.
        model: Name of a model file; the one that comes with the package by default.

    Returns:
        The model; None for weights alone.

    Raises:
        ValueError: The choices contradict each other, or there is no usable file.
    """
    if method not in METHODS:
        raise ValueError(f"method={method} is none of {', '.join(METHODS)}")
    if method == "weights":
        if model is not None:
            raise ValueError("method=weights uses no model; leave out model=")
        return None
    if model is not None:
        return read_model(model)
    if SHIPPED.is_file():
        return read_model(SHIPPED)
    if method == "model":
        raise ValueError("No model comes with this installation; name a file by model=")
    logger.info(
        "No model comes with this installation, and none was given by model=: method="
        "weights, which is a weighted mean without any learning."
    )
    return None


def estimate(
    prepared: Prepared, model: Model | None = None, nproc: int | None = None
) -> CorrectedAmplitudes:
    """
    Estimate amplitudes.

    Args:
        prepared: The compound.
        model: From choose_model.
        nproc: Threads; all cores by default.

    Returns:
        Amplitudes, with errors where the model is the general one.

    Raises:
        ValueError: The model was made for other features; they are named.
    """
    if model is None:
        F = estimate_amplitudes(prepared, "weights") * np.sqrt(prepared.N)
        return CorrectedAmplitudes("weights", F, np.ones(len(prepared.intensity)))
    if not is_general(model):
        return _by_observation(prepared, model, nproc)
    return _by_general_model(prepared, model, nproc)


def _by_general_model(
    prepared: Prepared, model: Model, nproc: int | None
) -> CorrectedAmplitudes:
    """Use a model for compounds that it has not seen."""
    found, n_passages = correct_prepared(unpack(model), prepared, nproc)
    return CorrectedAmplitudes(
        method="model",
        F=found.F,
        relative=relative_factors(found.E, found.bias, prepared.measured.unique),
        error_F=found.error_F,
        sigma_F=found.error_F / MEAN_OF_NORMAL,
        predicted_r1=found.predicted_r1,
        n_passages=n_passages,
    )


def feature_table(
    prepared: Prepared, kind: str, nproc: int | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """
    Give the features of observations.

    Args:
        prepared: The compound.
        kind: "physical", without anything that names the reflection, or "published".
        nproc: Threads; all cores by default.

    Returns:
        Shape (n, features), and the names of the columns.
    """
    if kind == "published":
        return published_features(prepared.measured), names(PUBLISHED)
    return features_of(prepared, nproc).observation, names(MODEL_1)


def amplitudes_less_bias(prepared: Prepared, bias: np.ndarray) -> np.ndarray:
    """
    Average the observations of each reflection, each less what it is expected to err.

    Args:
        prepared: The compound.
        bias: Shape (n,), of normalised amplitudes.

    Returns:
        E of shape (u,), not negative.
    """
    measured = prepared.measured
    mean = group_means(prepared.E_i - bias, measured.unique, measured.n_unique)
    return np.maximum(mean, 0)


def estimate_less_bias(
    prepared: Prepared,
    bias: np.ndarray,
    sigma: np.ndarray | None = None,
    mean: float = MEAN_OF_NORMAL,
) -> CorrectedAmplitudes:
    """
    Estimate amplitudes from what each observation is expected to err.

    Args:
        prepared: The compound.
        bias: Shape (n,), of normalised amplitudes.
        sigma: Shape (u,), predicted standard deviations of what is left; nan where it
            is not known.
        mean: Mean absolute error over standard deviation.
    """
    E = amplitudes_less_bias(prepared, bias)
    relative = relative_factors(E, bias, prepared.measured.unique)
    root_N = np.sqrt(prepared.N)
    F = E * root_N
    if sigma is None or not np.isfinite(sigma).any():
        return CorrectedAmplitudes("model", F, relative)
    sigma_F = np.where(np.isfinite(sigma), sigma, np.nanmedian(sigma)) * root_N
    error_F = mean * sigma_F
    expected = float(error_F.sum() / F.sum()) if F.sum() > 0 else None
    return CorrectedAmplitudes("model", F, relative, error_F, sigma_F, expected)


def _by_observation(
    prepared: Prepared, model: Model, nproc: int | None
) -> CorrectedAmplitudes:
    """Use a model that dials.ml_correct trained."""
    first = next(iter(model.forests))
    wanted = model.forests[first].feature_names
    kind = "published" if wanted == names(PUBLISHED) else "physical"
    table, columns = feature_table(prepared, kind, nproc)
    for part in model.forests:
        check_features(model, part, columns)
    law = law_from(model.settings)
    bias, spread = predict_ensemble(model.forests, model.settings, table, nproc)
    if law is None:
        return estimate_less_bias(prepared, bias)
    measured = prepared.measured
    parts = error_parts(prepared.E_i - bias, spread, measured.unique, measured.n_unique)
    E = amplitudes_less_bias(prepared, bias)
    return estimate_less_bias(prepared, bias, law.predict(E, parts), law.mean)
