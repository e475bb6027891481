"""
What a model can learn from data with references.

Crystals and reflections of several compounds are numbered through, so that folds and
fits need not know of compounds; R1 is of each compound on its own, with its own scale.

Functions:
    describe_compound: features of one compound, and what is to be learnt of it
    pool: those of several compounds as one table
    new_regressor, fit_rows: a model of it
    merge_rows: from observations to unique reflections
    mean_r1: of all compounds
    train_model: a model file's content
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dials_spread.correction.apply.estimates import feature_table
from dials_spread.correction.features.published import PUBLISHED
from dials_spread.correction.features.registry import MODEL_1
from dials_spread.correction.model.card import Card, TrainingSummary
from dials_spread.correction.model.model_file import Model
from dials_spread.correction.model.tree_model import target_amplitudes
from dials_spread.prepare.prepared import Prepared
from dials_spread.rfactor import r_factor
from dials_spread.statistics.groups import group_means

if TYPE_CHECKING:  # scikit-learn is imported when a model is trained
    from dials_spread.correction.model.estimator import CorrectionRegressor

BOUND = 1.5
"""Largest correction of a normalised amplitude."""


@dataclass(frozen=True)
class Compound:
    """
    One compound with what is to be learnt of it.

    Attributes:
        name: Of its reference.
        prepared: The data.
        table: Shape (n, features).
        f_calc: Shape (u,), reference amplitudes; nan where there are none.
        target: Shape (u,), the same as normalised amplitudes.
        crystals: Shape (crystals,), number of each crystal in the input.
    """

    name: str
    prepared: Prepared
    table: np.ndarray
    f_calc: np.ndarray
    target: np.ndarray
    crystals: np.ndarray


@dataclass(frozen=True)
class LearningData:
    """
    n observations of u unique reflections of some compounds.

    Attributes:
        compounds: These.
        columns: Names of the features.
        table: Shape (n, features).
        E_i: Shape (n,), signed normalised amplitudes of observations.
        intensity, sigma: Shape (n,), scaled within each compound.
        crystal: Shape (n,), number of the crystal in the input.
        unique: Shape (n,), number of the unique reflection.
        compound: Shape (n,), number of the compound.
        root_N: Shape (u,), expected amplitudes.
        f_calc, target: Shape (u,), of all compounds.
        d_spacing: Shape (u,) [Å].
        compound_of: Shape (u,), number of the compound.
    """

    compounds: tuple[Compound, ...]
    columns: tuple[str, ...]
    table: np.ndarray
    E_i: np.ndarray
    intensity: np.ndarray
    sigma: np.ndarray
    crystal: np.ndarray
    unique: np.ndarray
    compound: np.ndarray
    root_N: np.ndarray
    f_calc: np.ndarray
    target: np.ndarray
    d_spacing: np.ndarray
    compound_of: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Shape (n,), observed less true normalised amplitude."""
        return self.E_i - self.target[self.unique]

    @property
    def n_unique(self) -> int:
        """Number of unique reflections."""
        return len(self.root_N)

    @property
    def n_crystals(self) -> int:
        """Number of crystals of the input."""
        return 1 + int(max(c.crystals.max() for c in self.compounds))


def describe_compound(
    name: str,
    prepared: Prepared,
    f_calc: np.ndarray,
    features: str,
    crystals: np.ndarray | None = None,
    nproc: int | None = None,
) -> tuple[Compound, tuple[str, ...]]:
    """
    Put together what a model learns from one compound.

    Args:
        name: Of its reference.
        prepared: The data.
        f_calc: Shape (u,), reference amplitudes.
        features: "physical" or "published".
        crystals: Shape (crystals,), numbers in the input; from 0 by default.
        nproc: Threads; all cores by default.

    Returns:
        The compound, and the names of the features.

    Raises:
        ValueError: No amplitude is known.
    """
    table, columns = feature_table(prepared, features, nproc)
    target = target_amplitudes(prepared, f_calc)
    numbers = (
        np.arange(prepared.measured.n_experiments) if crystals is None else crystals
    )
    return Compound(name, prepared, table, f_calc, target, numbers), columns


def pool(compounds: Sequence[Compound], columns: tuple[str, ...]) -> LearningData:
    """
    Join compounds, all with the same features.

    Args:
        compounds: At least one.
        columns: Names of their features.
    """
    prepared = [c.prepared for c in compounds]
    first = np.cumsum([0] + [p.measured.n_unique for p in prepared])
    rows = [len(p.measured) for p in prepared]
    numbers = np.arange(len(compounds))

    def joined(parts) -> np.ndarray:
        return np.concatenate([*parts])

    return LearningData(
        compounds=tuple(compounds),
        columns=columns,
        table=joined(c.table for c in compounds),
        E_i=joined(p.E_i for p in prepared),
        intensity=joined(p.intensity for p in prepared),
        sigma=joined(p.sigma for p in prepared),
        crystal=joined(c.crystals[c.prepared.measured.crystal] for c in compounds),
        unique=joined(p.measured.unique + k for p, k in zip(prepared, first)),
        compound=np.repeat(numbers, rows),
        root_N=joined(np.sqrt(p.N) for p in prepared),
        f_calc=joined(c.f_calc for c in compounds),
        target=joined(c.target for c in compounds),
        d_spacing=joined(1 / np.sqrt(p.measured.d_star_sq) for p in prepared),
        compound_of=np.repeat(numbers, np.diff(first)),
    )


def new_regressor(seed: int, **settings) -> CorrectionRegressor:
    """Make an unfitted model of the deviation of observations."""
    chosen = {"bound": BOUND, "loss": "squared_error", "n_pairs": 1, **settings}
    from dials_spread.correction.model.estimator import CorrectionRegressor

    return CorrectionRegressor(random_state=seed, **chosen)


def fit_rows(
    table: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    groups: np.ndarray,
    regressor: CorrectionRegressor,
) -> CorrectionRegressor:
    """
    Fit to the rows that have something to be learnt.

    Args:
        table: Shape (n, features).
        y: Shape (n,), nan where not known.
        rows: Shape (n,), bool.
        groups: Shape (n,), what members see together.
        regressor: Not fitted.
    """
    kept = rows & np.isfinite(y)
    return regressor.fit(table[kept], y[kept], groups=groups[kept])


def merge_rows(data: LearningData, values: np.ndarray) -> np.ndarray:
    """
    Average over the observations that have a value, shape (u,); nan for none.

    Args:
        data: With n observations.
        values: Shape (n,), nan where a fold tests nothing.
    """
    kept = np.isfinite(values)
    n = np.bincount(data.unique[kept], minlength=data.n_unique)
    mean = group_means(values[kept], data.unique[kept], data.n_unique)
    return np.where(n > 0, mean, np.nan)


def mean_r1(data: LearningData, F: np.ndarray) -> float:
    """
    Give R1 against the references, the mean over compounds.

    Args:
        data: Of u unique reflections.
        F: Shape (u,), amplitudes; nan where there are none.
    """
    each = [
        r_factor(F[own], data.f_calc[own])[0]
        for own in (data.compound_of == k for k in range(len(data.compounds)))
        if np.isfinite(F[own] + data.f_calc[own]).any()
    ]
    return float(np.mean(each))


def train_model(
    data: LearningData,
    validation: dict,
    rows: np.ndarray,
    seed: int,
    more_settings: Mapping[str, float],
) -> Model:
    """
    Fit a model to data, for a model file.

    Args:
        data: What is to be learnt.
        validation: Figures for the card.
        rows: Shape (n,), bool: observations to learn from.
        seed: Of the fit.
        more_settings: What the model file needs beside, such as how its errors are
            predicted.

    Returns:
        The model, with its card.
    """
    # Halves of unique reflections: how far the model is to be believed is found on
    # reflections that its members have not seen.
    regressor = fit_rows(
        data.table, data.deviation, rows, data.unique, new_regressor(seed, n_pairs=2)
    )
    features = PUBLISHED if len(data.columns) == len(PUBLISHED) else MODEL_1
    sets = [_training_set(data, k, rows) for k in range(len(data.compounds))]
    sets = [s for s in sets if s.observations]
    told = "one compound" if len(sets) == 1 else f"{len(sets)} compounds"
    card = Card(
        name=f"trained on {', '.join(s.name for s in sets)}"[:200],
        description=(
            f"Deviation of normalised amplitudes of observations, trained on {told}; "
            "of use for other compounds only as far as tested on them."
        ),
        features=tuple(f.as_dict() for f in features),
        training=tuple(sets),
        validation=validation,
    )
    settings = {**regressor.settings(), **more_settings}
    return Model(card, regressor.forests(data.columns), settings)


def _training_set(
    data: LearningData, compound: int, rows: np.ndarray
) -> TrainingSummary:
    own = rows & (data.compound == compound)
    return TrainingSummary(
        name=data.compounds[compound].name[:200],
        crystals=len(np.unique(data.crystal[own])),
        observations=int(own.sum()),
        unique=len(np.unique(data.unique[own])),
    )
