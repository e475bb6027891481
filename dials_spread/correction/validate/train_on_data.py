"""
A model of these very data, and what it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials_spread import stages
from dials_spread.correction.apply.against_reference import (
    find_reference,
    match,
    r1_of_crystals,
)
from dials_spread.correction.apply.correct import (
    CorrectionResult,
    Subject,
    correct_intensities,
)
from dials_spread.correction.apply.error_law import law_settings
from dials_spread.correction.apply.estimates import LIMITS, estimate_less_bias
from dials_spread.correction.model.model_file import Model
from dials_spread.correction.validate.importance import (
    Importance,
    check_shap,
    feature_importance,
)
from dials_spread.correction.validate.learning import (
    LearningData,
    describe_compound,
    pool,
    train_model,
)
from dials_spread.correction.validate.splits import parse_range
from dials_spread.correction.validate.validation import Validation, validate
from dials_spread.reference import Reference, ReferenceMatch
from dials_spread.rfactor import RFactors


@dataclass(frozen=True)
class Source:
    """
    Data of one compound to learn from.

    Attributes:
        subject: The data, from get_subject.
        reference: Reference amplitudes, or the name of their file.
        crystals: Shape (crystals,), number of each crystal in the input; from 0 by
            default.
    """

    subject: Subject
    reference: str | Reference
    crystals: Sequence[int] | None = None

    @property
    def known(self) -> Reference:
        """The reference once it is read; ValueError while only its name is known."""
        if isinstance(self.reference, str):
            raise ValueError(f"The reference {self.reference} has not been read")
        return self.reference


@dataclass(frozen=True)
class CrystalsOfCompound:
    """
    R1 of the crystals of one compound by a model of other crystals.

    Attributes:
        compound: Name of its reference.
        crystals: Shape (crystals,), their numbers in the input.
        seen: Shape (crystals,), bool: whether the model was trained on them.
        r1: Before and after, by "scaled" and "integrated" intensities.
    """

    compound: str
    crystals: np.ndarray
    seen: np.ndarray
    r1: dict[str, tuple[RFactors, RFactors]]

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "compound": self.compound,
            "crystals": self.crystals.tolist(),
            "trained_on": self.crystals[self.seen].tolist(),
            **{
                kind: {"before": before.as_dict(), "after": after.as_dict()}
                for kind, (before, after) in self.r1.items()
            },
        }


@dataclass(frozen=True)
class TrainingResult:
    """
    A model, tested on what it has not seen.

    Attributes:
        sources: The data, by compound.
        matches: Their references, brought onto them.
        data: What was learnt from.
        validation: Splits and controls.
        importance: What the model rests on.
        correction: By models that had not seen the reflection in question; None for
            several compounds, whose intensities do not belong into one table.
        by_crystal: R1 of each crystal with models of other crystals, by compound; empty
            where that split was not run.
        model: Trained on all, or on train.crystals; None where none is kept.
    """

    sources: tuple[Source, ...]
    matches: tuple[ReferenceMatch, ...]
    data: LearningData
    validation: Validation
    importance: list[Importance]
    correction: CorrectionResult | None
    by_crystal: tuple[CrystalsOfCompound, ...]
    model: Model | None


def train_on(
    sources: Sequence[Source],
    *,
    column: str | None = None,
    features: str = "physical",
    crystals: tuple[str | None, str | None] = (None, None),
    keep: bool = True,
    with_shap: bool = False,
    strength: float = 1.0,
    force: bool = False,
    seed: int = 0,
    nproc: int | None = None,
) -> TrainingResult:
    """
    Train a model on data with references, and test it.

    Args:
        sources: One for each compound.
        column: Label of the column of lists.
        features: "physical" or "published".
        crystals: Ranges to train and to test on in the split by crystal.
        keep: Fit a model for a model file.
        with_shap: Compute SHAP values, which takes the package shap.
        strength: Of the correction.
        force: Train even on a reference that is no better than expected by chance.
        seed: Of folds and fits.
        nproc: Threads; all cores by default.

    Raises:
        ValueError: A reference cannot be used, the ranges make no sense, or shap is not
            installed.
    """
    if with_shap:
        check_shap()
    rng = np.random.default_rng(seed)
    sources = tuple(_with_reference(s, column) for s in sources)
    matches = _matches(sources, rng, force)
    data = _learning_data(sources, matches, features, nproc)
    validation = validate(data, rng, *crystals)
    return TrainingResult(
        sources=sources,
        matches=matches,
        data=data,
        validation=validation,
        importance=feature_importance(data, rng, with_shap),
        correction=_correct(sources, validation, strength, seed, nproc),
        by_crystal=_by_crystal(sources, data, validation),
        model=_model(data, validation, crystals[0], seed) if keep else None,
    )


def _with_reference(source: Source, column: str | None) -> Source:
    """Read the reference where only its name is given."""
    if isinstance(source.reference, Reference):
        return source
    file = find_reference(source.subject.observations, source.reference, column)
    return Source(source.subject, file, source.crystals)


def _matches(
    sources: Sequence[Source], rng: np.random.Generator, force: bool
) -> tuple[ReferenceMatch, ...]:
    """Bring the references onto the data; refuse those that are of other compounds."""
    found = tuple(match(s.known, s.subject.prepared, rng) for s in sources)
    wrong = [m.warnings[0] for m in found if not m.believed]
    if wrong and not force:
        told = "Nothing can be learnt from it; force=True does so all the same"
        raise ValueError("\n".join(f"{warning} {told}" for warning in wrong))
    return found


def _learning_data(
    sources: Sequence[Source],
    matches: Sequence[ReferenceMatch],
    features: str,
    nproc: int | None,
) -> LearningData:
    """Make the features of all compounds."""
    made = []
    both = [*zip(sources, matches)]
    pairs = stages.counted(both, len(both), "Features of compounds")
    for source, found in pairs:
        prepared, numbers = source.subject.counted, source.crystals
        numbers = None if numbers is None else np.asarray(numbers)
        made.append(
            describe_compound(
                source.known.source, prepared, found.f_calc, features, numbers, nproc
            )
        )
    return pool([compound for compound, _ in made], made[0][1])


def _correct(
    sources: Sequence[Source],
    validation: Validation,
    strength: float,
    seed: int,
    nproc: int | None,
) -> CorrectionResult | None:
    """Correct a single compound by models that had not seen the reflection."""
    if len(sources) > 1:
        return None
    subject, errors = sources[0].subject, validation.errors["reflection"]
    sigma = () if errors.law is None else (errors.predicted, errors.law.mean)
    return correct_intensities(
        subject,
        strength=strength,
        reference=sources[0].reference,
        seed=seed,
        nproc=nproc,
        ready=estimate_less_bias(subject.counted, validation.bias, *sigma),
    )


def _model(
    data: LearningData, validation: Validation, crystals: str | None, seed: int
) -> Model:
    """Fit the model that is kept, its test on its card."""
    figures = validation.as_dict()
    figures = {
        "splits": figures["scores"],
        "predicted errors": figures["predicted_errors"],
    }
    # Other compounds tell more about what the errors of yet another one will be.
    errors = validation.errors.get("compound", validation.errors["reflection"])
    settings = {} if errors.law is None else law_settings(errors.law)
    return train_model(data, _finite(figures), _rows(data, crystals), seed, settings)


def _rows(data: LearningData, crystals: str | None) -> np.ndarray:
    """Say which observations the model that is kept learns from."""
    if crystals is None:
        return np.ones(len(data.table), dtype=bool)
    return np.isin(data.crystal, parse_range(crystals, data.n_crystals))


def _finite(figures):
    """A card holds finite numbers only."""
    if isinstance(figures, dict):
        return {key: _finite(value) for key, value in figures.items()}
    if isinstance(figures, (list, tuple)):
        return [_finite(value) for value in figures]
    if isinstance(figures, float) and not np.isfinite(figures):
        return None
    return figures


def _by_crystal(
    sources: Sequence[Source], data: LearningData, validation: Validation
) -> tuple[CrystalsOfCompound, ...]:
    """Give R1 of each crystal by a model of other crystals."""
    if validation.crystal_bias is None:
        return ()
    found = []
    for k, source in enumerate(sources):
        own, compound = data.compound == k, data.compounds[k]
        subject, bias = source.subject, validation.crystal_bias[own]
        before = (data.intensity[own], data.sigma[own] ** 2)
        left = data.E_i[own] - np.where(np.isfinite(bias), bias, 0)
        after = np.sign(left) * (left * data.root_N[data.unique[own]]) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(before[0] > 0, after / before[0], 1.0)
        factor = np.clip(ratio, *LIMITS)
        pairs = {"scaled": before}
        if subject.integrated is not None:
            pairs["integrated"] = subject.integrated[:2]
        r1 = {
            kind: r1_of_crystals(
                subject.observations,
                compound.f_calc,
                (I, variance),
                (I * factor, variance * factor**2),
                weighted=False,
            )
            for kind, (I, variance) in pairs.items()
        }
        seen = validation.seen[compound.crystals]
        found.append(CrystalsOfCompound(compound.name, compound.crystals, seen, r1))
    return tuple(found)
