"""
The general model, for compounds that were never seen, in one model file.

Two engines: the network over the set of observations (network), with a forest that says
by how much an observation is off; and the two models of boosted trees (two_models), with
one of the error. Both correct features into amplitudes with error bars.

Functions:
    correct_prepared: data, each crossing of the Ewald sphere counted once
    with_unsimulated: errors that no simulation holds, added to the expected ones
    pack, unpack: to and from what a model file holds
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Union

import numpy as np

from dials_spread.correction.features.all_features import FeatureSet, features_of
from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL, names
from dials_spread.correction.model.card import Card
from dials_spread.correction.model.evidence import (
    Evidence,
    evidence_of,
    expected_differences,
)
from dials_spread.correction.model.forest import (
    Forest,
    forest_of,
    predict_in_one_thread,
)
from dials_spread.correction.model.model_file import (
    Model,
    check_features,
    compare_features,
)
from dials_spread.correction.model.network.inputs import (
    OBSERVATION_INPUTS,
    REFLECTION_INPUTS,
)
from dials_spread.correction.model.network.predict import predict_mean
from dials_spread.correction.model.network.shapes import Network
from dials_spread.correction.model.posterior import MEAN_OF_NORMAL, posterior
from dials_spread.correction.model.tree_model import (
    AVERAGE_COLUMNS,
    TwoModels,
    average,
    reflection_rows,
)
from dials_spread.freed_memory import give_back
from dials_spread.prepare.prepared import Prepared, prepare
from dials_spread.rfactor import amplitudes

OBSERVATION_PARTS = ("bias", "scatter")
REFLECTION_PARTS = ("correction", "error")

REFLECTION_COLUMNS = (*names(REFLECTION_ALL), *AVERAGE_COLUMNS)
"""Columns that model 2 sees."""

UNSIMULATED = (0.3, 0.15)
"""Standard deviations a and b of normalised amplitudes, in R_meas, beyond what simulated
compounds have: ``R_meas √(a² + b² E²)``. Of five measured compounds R1 was 1.24 times the
expected one (geometric mean) without it, and is 1.06 times with it."""

UNKNOWN = 0.04
"""Share of reflections with one independent observation whose estimate says nothing; with n
of them, a part of n. In measured compounds 2 % are more than five σ off otherwise."""

R1_RANGE = (0.5, 1.7)
"""Limits of R1 over the expected one: benchmarks/general_model.py prints how many data sets
lie within. Simulated ones come out lower, since they lack what UNSIMULATED is for."""

SMALLEST_ERROR = 0.01
"""Of a normalised amplitude: nothing is known better."""


@dataclass(frozen=True)
class Corrected:
    """
    A corrected compound.

    Attributes:
        E: Shape (u,), normalised amplitudes, not negative.
        error: Shape (u,), expected absolute error of E; nan where nothing says it.
        F: Shape (u,), E √N, on the scale of the merged intensities.
        error_F: Shape (u,).
        sigma_F: Shape (u,), standard deviation of F; None where nothing is added to the
            errors that simulated compounds have.
        intensity: Shape (u,), mean of F², which is more than the square of the mean; None
            likewise.
        sigma_intensity: Shape (u,), its standard deviation; None likewise.
        bias: Shape (n,), by how much the amplitude of an observation is off, as far as
            all but its own intensity tells.
        predicted_r1: R1 to be expected, Σ error_F / Σ F.
        rows: Shape (u, columns), what the model of the error sees; None for networks.
        evidence: Whether the data show multiple scattering; None where not looked at.
        simulated_r1: R1 to be expected of simulated data; None where that is predicted_r1.
    """

    E: np.ndarray
    error: np.ndarray
    F: np.ndarray
    error_F: np.ndarray
    bias: np.ndarray
    predicted_r1: float
    rows: np.ndarray | None = None
    evidence: Evidence | None = None
    simulated_r1: float | None = None
    sigma_F: np.ndarray | None = None
    intensity: np.ndarray | None = None
    sigma_intensity: np.ndarray | None = None


def _corrected(
    features: FeatureSet,
    E: np.ndarray,
    error: np.ndarray,
    bias: np.ndarray,
    rows: np.ndarray | None = None,
) -> Corrected:
    root_N = np.sqrt(features.N)
    error = np.maximum(error, SMALLEST_ERROR)
    total = np.sum(E * root_N)
    return Corrected(
        E=E,
        error=error,
        F=E * root_N,
        error_F=error * root_N,
        bias=bias,
        predicted_r1=float(np.sum(error * root_N) / total) if total > 0 else np.nan,
        rows=rows,
    )


@dataclass(frozen=True)
class TreeModel:
    """
    Two models of boosted trees.

    Attributes:
        models: Of observations and of reflections.
        error: Regressor of the absolute error of corrected normalised amplitudes; None
            where there is none yet.
    """

    models: TwoModels
    error: Any = None

    def correct(self, features: FeatureSet, nproc: int | None = None) -> Corrected:
        """
        Correct a compound.

        Args:
            features: Of the compound.
            nproc: As of `SetModel`; trees take the threads that they were made for.
        """
        models = self.models
        averages = average(features, models.bias, models.scatter)
        rows = reflection_rows(features, averages)
        E = np.maximum(averages.L_mb + models.correction.predict(rows), 0)
        error = np.full(len(E), np.nan)
        if self.error is not None:
            error = self.error.predict(rows)
        return _corrected(features, E, error, averages.bias, rows)


@dataclass(frozen=True)
class SetModel:
    """
    The mean of some networks.

    Attributes:
        networks: Trained on the same compounds from different seeds.
        bias: Regressor of how much an observation is off; it does not see the
            observation's own intensity. None where it is not needed.
        error_scale: Factor of the networks' expected errors, found on held-out compounds.
    """

    networks: tuple[Network, ...]
    bias: Any = None
    error_scale: float = 1.0

    def correct(self, features: FeatureSet, nproc: int | None = None) -> Corrected:
        """
        Correct a compound.

        Args:
            features: Of the compound.
            nproc: Threads; all cores by default.
        """
        found = predict_mean(self.networks, features, nproc)
        bias = np.zeros(len(features.unique))
        if self.bias is not None:
            bias = features.from_tables(_predicted, self.bias, nproc)
        return _corrected(features, found.E, self.error_scale * found.error, bias)


def _predicted(bias: Any, _, table: np.ndarray) -> np.ndarray:
    return predict_in_one_thread(bias, table)


GeneralModel = Union[TreeModel, SetModel]


def correct_prepared(
    general: GeneralModel, prepared: Prepared, nproc: int | None = None
) -> tuple[Corrected, int]:
    """
    Correct data of which a crossing may be listed several times.

    Args:
        general: The model.
        prepared: n observations of u unique reflections.
        nproc: Threads for features; all cores by default.

    Returns:
        Amplitudes on the scale of `prepared`, the bias of each of its n observations;
        and the number of crossings.
    """
    joined, crossing = prepared.measured.without_repeats()
    own = prepared if joined is prepared.measured else prepare(joined, nproc)
    features = features_of(own, nproc, kept=isinstance(general, SetModel))
    give_back()
    found = general.correct(features, nproc)
    expected = _expected(general, features, nproc)
    del features  # as large as all the rest
    give_back()
    scale = amplitudes(prepared.merged).sum() / amplitudes(own.merged).sum()
    on_scale = replace(
        found,
        F=scale * found.F,
        error_F=scale * found.error_F,
        bias=found.bias[crossing],
        evidence=None if expected is None else evidence_of(own, expected),
    )
    told = with_unsimulated(on_scale, own.r_meas, own.n, own.measured.centric)
    return told, len(joined)


def unsimulated_errors(E: np.ndarray, r_meas: float) -> np.ndarray:
    """
    Give the errors of normalised amplitudes that no simulation holds.

    Args:
        E: Shape (u,).
        r_meas: How far equivalents disagree; nan where nothing was measured twice.
    """
    a, b = UNSIMULATED
    return (r_meas if np.isfinite(r_meas) else 0.0) * np.hypot(a, b * E)


def with_unsimulated(
    found: Corrected, r_meas: float, n: np.ndarray, centric: np.ndarray
) -> Corrected:
    """
    Add what no simulation holds to the expected errors, and keep amplitudes positive.

    Args:
        found: With the errors that simulated compounds have.
        r_meas: How far equivalents disagree; nan where nothing was measured twice.
        n: Shape (u,), independent observations of each reflection.
        centric: Shape (u,), bool.

    Returns:
        Means and standard deviations of amplitudes and intensities: see posterior.
    """
    known = found.error / MEAN_OF_NORMAL
    sigma = np.hypot(known, unsimulated_errors(found.E, r_meas))
    told = posterior(found.E, known, sigma, centric, UNKNOWN / np.maximum(n, 1))
    root_N = np.divide(found.error_F, found.error)
    total = np.sum(told.E * root_N)
    return replace(
        found,
        E=told.E,
        error=told.error,
        F=told.E * root_N,
        error_F=told.error * root_N,
        sigma_F=told.sigma_E * root_N,
        intensity=told.I * root_N**2,
        sigma_intensity=told.sigma_I * root_N**2,
        predicted_r1=(
            float(np.sum(told.error * root_N) / total) if total > 0 else np.nan
        ),
        simulated_r1=found.predicted_r1,
    )


def _expected(
    general: GeneralModel, features: FeatureSet, nproc: int | None
) -> np.ndarray | None:
    """Give how observations differ, where the model says that."""
    bias = general.models.bias if isinstance(general, TreeModel) else general.bias
    return None if bias is None else expected_differences(features, bias, nproc)


def pack(general: GeneralModel, card: Card) -> Model:
    """
    Turn a fitted model into what a model file holds.

    Args:
        general: Its regressors are scikit-learn's HistGradientBoostingRegressors.
        card: What the file says of itself.
    """
    if isinstance(general, SetModel):
        forests = {"bias": forest_of(general.bias, names(MODEL_1))}
        settings = {"error_scale": float(general.error_scale)}
        return Model(card, forests, settings, networks=general.networks)
    models = general.models
    forests = {
        "bias": forest_of(models.bias, names(MODEL_1)),
        "scatter": forest_of(models.scatter, names(MODEL_1)),
        "correction": forest_of(models.correction, REFLECTION_COLUMNS),
        "error": forest_of(general.error, REFLECTION_COLUMNS),
    }
    return Model(card, forests)


def is_general(model: Model) -> bool:
    """Whether a model file holds a general model, rather than one of a user's data."""
    return bool(model.networks) or "scatter" in model.forests


def unpack(model: Model) -> GeneralModel:
    """
    Take the regressors out of a model file.

    Args:
        model: As `read_model` gives it.

    Raises:
        ValueError: A part is missing, or was made for other features; they are named.
    """
    forests: Mapping[str, Forest] = model.forests
    if model.networks:
        check_features(model, "bias", names(MODEL_1))
        for network in model.networks:
            compare_features(network.observation_names, OBSERVATION_INPUTS)
            compare_features(network.reflection_names, REFLECTION_INPUTS)
        scale = min(max(float(model.settings.get("error_scale", 1.0)), 0.01), 100.0)
        return SetModel(model.networks, forests["bias"], scale)
    for part in OBSERVATION_PARTS:
        check_features(model, part, names(MODEL_1))
    for part in REFLECTION_PARTS:
        check_features(model, part, REFLECTION_COLUMNS)
    two = TwoModels(forests["bias"], forests["scatter"], forests["correction"])
    return TreeModel(two, forests["error"])
