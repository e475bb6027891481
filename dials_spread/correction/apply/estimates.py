"""
Corrected amplitudes of reflections, by weights alone or by a model file, and from them
what is done to each observation.

A model file holds either the general model, for compounds that it has never seen, or a
model that dials.ml_correct trained on data of the user; its parts tell which.

Each observation is multiplied by a factor. Were it F²/I of its own, all observations of
a reflection would become equal and the agreement a lie; were it one factor for all,
what is known of each observation would be lost. What model 1 expects of an observation,
``(E + b)²`` where E is true, does not depend on its noise, so ``E²/(E + b)²`` can be
taken out without making noise smaller; a common factor then puts the mean on F².

No factor makes a mean positive that is not, and a large one makes noise larger. Where a
reflection is that weak, its observations stay as they are and what their mean lacks is
added to each: how they differ, and their σ, remain.

Functions:
    intensity_errors: σ(F²) from σ(F)
    amplitude_sigma: σ(F) from I and σ(I)
    choose_model: the model that a user wants, or None for weights alone
    estimate: amplitudes of the unique reflections
    observation_factors: from these to the factor and offset of each observation
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dials_spread.correction.apply.error_law import error_parts, law_from
from dials_spread.correction.features.all_features import features_of
from dials_spread.correction.features.published import PUBLISHED, published_features
from dials_spread.correction.features.registry import MODEL_1, names
from dials_spread.correction.model.evidence import Evidence
from dials_spread.correction.model.general import (
    correct_prepared,
    is_general,
    unpack,
)
from dials_spread.correction.model.model_file import Model, check_features, read_model
from dials_spread.correction.model.posterior import MEAN_OF_NORMAL
from dials_spread.correction.model.shrinkage import predict_ensemble
from dials_spread.prepare.prepared import Prepared
from dials_spread.prepare.weights import estimate_amplitudes
from dials_spread.rfactor import amplitudes
from dials_spread.statistics.groups import group_means

logger = logging.getLogger("dials.spread.estimates")

SHIPPED = Path(__file__).parents[1] / "model" / "models" / "general.safetensors"
"""The model that comes with the package."""

METHODS = ("auto", "weights", "model")

BLEND = 0.5
"""How much of an observation's own expected deviation is taken out: 0 to 1."""

LARGEST_RELATIVE = 2.0
"""Factors of observations of one reflection differ from their mean by no more."""

LIMITS = (0.1, 10.0)
"""Range of a factor: σ is multiplied too, and nothing should become exact by it."""

SMALLEST_E = 0.1
"""Amplitude below which relative deviations say nothing."""


@dataclass(frozen=True)
class Factors:
    """
    What observations are to be multiplied with, and what is added to them.

    Attributes:
        factor: Shape (n,), positive; σ is multiplied by it as well.
        offset: Shape (n,), added to the product, on the scale of the intensities; 0
            where a factor is enough.
        reached: Shape (u,), bool: a factor is enough.
        inflation: Shape (n,), by which variances are multiplied besides, 1 and more (see
            table_errors); None for nothing.
    """

    factor: np.ndarray
    offset: np.ndarray
    reached: np.ndarray
    inflation: np.ndarray | None = None

    def apply(
        self, intensity: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Correct observations.

        Args:
            intensity: Shape (n,).
            sigma: Shape (n,).

        Returns:
            Intensities and their σ, shape (n,) each.
        """
        more = 1.0 if self.inflation is None else np.sqrt(self.inflation)
        return intensity * self.factor + self.offset, sigma * self.factor * more

    def weakened(self, strength: float) -> Factors:
        """Give a part of the correction, from 0 for nothing to 1."""
        factor, offset = self.factor**strength, self.offset * strength
        inflation = None if self.inflation is None else self.inflation**strength
        return replace(self, factor=factor, offset=offset, inflation=inflation)

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "median": float(np.median(self.factor)),
            "quartiles": [float(x) for x in np.quantile(self.factor, [0.25, 0.75])],
            "reflections": len(self.reached),
            "reflections_reached": int(self.reached.sum()),
            "reflections_shifted": int((~self.reached).sum()),
        }


@dataclass(frozen=True)
class CorrectedAmplitudes:
    """
    Amplitudes of the unique reflections, corrected.

    Attributes:
        method: "weights" or "model".
        F: Shape (u,), on the scale of the merged intensities, not negative; the mean of
            what it may be where errors are known.
        relative: Shape (n,), what sets an observation apart from the others of its
            reflection.
        error_F: Shape (u,), expected absolute error of F; None where nothing says it.
        sigma_F: Shape (u,), standard deviation of F; None likewise.
        predicted_r1: R1 to be expected of all of the correction; None likewise.
        n_passages: Observations when those are joined that list one crossing of the
            Ewald sphere several times; None where that was not looked at.
        evidence: Whether the data show multiple scattering; None likewise.
        simulated_r1: R1 to be expected of simulated data; None where nothing says it.
        intensity: Shape (u,), mean of F² over what F may be, F² and its variance; None
            where that is not known.
        sigma_intensity: Shape (u,), its standard deviation; None likewise.
    """

    method: str
    F: np.ndarray
    relative: np.ndarray
    error_F: np.ndarray | None = None
    sigma_F: np.ndarray | None = None
    predicted_r1: float | None = None
    n_passages: int | None = None
    evidence: Evidence | None = None
    simulated_r1: float | None = None
    intensity: np.ndarray | None = None
    sigma_intensity: np.ndarray | None = None

    def intensities(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Give means of F² and their σ, shape (u,) each; of F where no more is known."""
        if self.intensity is not None:
            return self.intensity, self.sigma_intensity
        if self.sigma_F is None:
            return self.F**2, None
        return self.F**2, intensity_errors(self.F, self.sigma_F)


def intensity_errors(F: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """
    Give σ(F²) = 2 F σ + σ²: where F is nearly nought, F² is uncertain all the same.

    Args:
        F: Any shape, amplitudes.
        sigma: The same shape, their σ.
    """
    return 2 * F * sigma + sigma**2


def amplitude_sigma(intensity: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """
    Give σ(F) = √(F² + σ(I)) - F, which stays finite where F is nought.

    Args:
        intensity: Shape (n,).
        sigma: Shape (n,).

    Source: Hall, King & Stewart (1995), Xtal 3.7, as in cctbx; σ(I)/(2F) of strong ones.
    """
    F = amplitudes(intensity)
    return np.sqrt(F**2 + sigma) - F


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
        sigma_F=found.sigma_F,
        intensity=found.intensity,
        sigma_intensity=found.sigma_intensity,
        predicted_r1=found.predicted_r1,
        n_passages=n_passages,
        evidence=found.evidence,
        simulated_r1=found.simulated_r1,
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


def relative_factors(
    E: np.ndarray, bias: np.ndarray, unique: np.ndarray, blend: float = BLEND
) -> np.ndarray:
    """
    Give (E / (E + b))^(2 blend), bounded.

    Args:
        E: Shape (u,), corrected amplitudes.
        bias: Shape (n,), of each observation.
        unique: Shape (n,).
        blend: From 0, one factor for all of a reflection, to 1.

    Returns:
        Shape (n,), within a factor of 2 to either side.
    """
    own = np.maximum(E, SMALLEST_E)[unique]
    ratio = own / np.maximum(own + bias, 0.5 * SMALLEST_E)
    return np.clip(ratio, 1 / LARGEST_RELATIVE, LARGEST_RELATIVE) ** (2 * blend)


def observation_factors(
    intensity: np.ndarray,
    sigma: np.ndarray,
    unique: np.ndarray,
    F: np.ndarray,
    relative: np.ndarray,
) -> Factors:
    """
    Give the factor of every observation, and what is added where none is enough.

    Args:
        intensity: Shape (n,), scaled.
        sigma: Shape (n,), scaled, positive.
        unique: Shape (n,).
        F: Shape (u,), corrected amplitudes on the scale of the intensities.
        relative: Shape (n,), positive, from relative_factors.

    Returns:
        Factors such that merging the products with weights 1/σ² gives F², wherever
        that takes no factor beyond LIMITS; offsets for the other reflections.
    """
    n = len(F)
    weight = 1 / (relative * sigma) ** 2
    merged = group_means(relative * intensity, unique, n, weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.where(merged > 0, F**2 / merged, np.inf)
        factor = wanted[unique] * relative
    beyond = np.bincount(unique, factor > LIMITS[1], minlength=n) > 0
    bounded = np.where(beyond[unique], 1.0, np.clip(factor, *LIMITS))
    reached = np.bincount(unique, bounded != factor, minlength=n) == 0
    found = group_means(bounded * intensity, unique, n, 1 / (bounded * sigma) ** 2)
    offset = np.where(reached, 0.0, F**2 - found)
    return Factors(bounded, offset[unique], reached)
