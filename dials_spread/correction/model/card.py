"""
What a model file says of itself, and what may be in it.

A card may be untrusted input, and is shown to a user: text has no control characters,
numbers are finite, and nothing is long or deep enough to be a burden.

Functions:
    check_plain: refuse what is no plain JSON
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numba
import numpy as np

import dials_spread

DEEPEST = 8
"""Levels of lists and tables within one another."""

LONGEST = 4000
"""Characters of one text."""

LARGEST = 2**53
"""Integers that every JSON reader keeps."""


@dataclass(frozen=True)
class TrainingSummary:
    """
    One set of data that a model was trained on.

    Attributes:
        name: Of the compound or the file.
        crystals: Number of crystals.
        observations: Number of observations.
        unique: Number of unique reflections.
    """

    name: str
    crystals: int
    observations: int
    unique: int


@dataclass(frozen=True)
class Card:
    """
    What a model is, what it was made from, and how far it can be trusted.

    Attributes:
        name: Short.
        description: One or two sentences.
        features: Name, unit, meaning and reason of each feature.
        training: The data it was trained on.
        validation: Figures by name, such as R1 before and after for each split.
        licence: Under which the file may be used.
        versions: Of the programs that made it.
    """

    name: str
    description: str
    features: tuple[Mapping[str, str], ...]
    training: tuple[TrainingSummary, ...] = ()
    validation: Mapping[str, object] = field(default_factory=dict)
    licence: str = "BSD-3-Clause"
    versions: Mapping[str, str] = field(default_factory=lambda: program_versions())

    def as_dict(self) -> dict:
        """Give the card as plain tables and lists."""
        return asdict(self)


def program_versions() -> dict[str, str]:
    """Name the releases that make a model."""
    import sklearn  # models are applied without it

    return {
        "dials_spread": dials_spread.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "python": platform.python_version(),
    }


def check_plain(value: object, where: str = "card", depth: int = 0) -> None:
    """
    Check that a value is plain JSON of a harmless size.

    Args:
        value: Made of None, booleans, numbers, texts, lists and tables.
        where: Where it stands, for the message.
        depth: Of the value within others.

    Raises:
        ValueError: It is not.
    """
    if depth > DEEPEST:
        raise ValueError(f"{where[:80]} is nested too deeply")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if len(value) > LONGEST or not value.isprintable():
            raise ValueError(f"{where[:80]} is no printable text of one line")
    elif isinstance(value, int):
        if abs(value) > LARGEST:
            raise ValueError(f"{where[:80]} is too large a number")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where[:80]} is no finite number")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_plain(key, f"a key of {where}", depth + 1)
            check_plain(item, f"{where}.{key}", depth + 1)
    elif isinstance(value, Sequence):
        for item in value:
            check_plain(item, where, depth + 1)
    else:
        raise ValueError(f"{where[:80]} is of type {type(value).__name__}")


def card_from(told: object) -> Card:
    """
    Make a card from plain tables and lists.

    Args:
        told: As `Card.as_dict` gives it.

    Raises:
        ValueError: Something is missing, superfluous or of another kind.
    """
    check_plain(told)
    kinds = {
        "name": str,
        "description": str,
        "features": list,
        "training": list,
        "validation": dict,
        "licence": str,
        "versions": dict,
    }
    if not isinstance(told, dict) or set(told) != set(kinds):
        raise ValueError(f"a card has {', '.join(kinds)}, and nothing else")
    for key, kind in kinds.items():
        if not isinstance(told[key], kind):
            raise ValueError(f"card.{key} is of another kind")
    for feature in told["features"]:
        if not _is_text(feature, ("name", "unit", "meaning", "reason")):
            raise ValueError("a feature has a name, a unit, a meaning and a reason")
    if not _is_text(told["versions"], tuple(told["versions"])):
        raise ValueError("card.versions are texts")
    training = tuple(_training_set(some) for some in told["training"])
    return Card(
        name=told["name"],
        description=told["description"],
        features=tuple(told["features"]),
        training=training,
        validation=told["validation"],
        licence=told["licence"],
        versions=told["versions"],
    )


def _is_text(told: object, keys: tuple[str, ...]) -> bool:
    return (
        isinstance(told, dict)
        and set(told) == set(keys)
        and all(isinstance(value, str) for value in told.values())
    )


def _training_set(told: object) -> TrainingSummary:
    counts = ("crystals", "observations", "unique")
    if (
        not isinstance(told, dict)
        or set(told) != {"name", *counts}
        or not isinstance(told["name"], str)
        or any(type(told[key]) is not int or told[key] < 0 for key in counts)
    ):
        raise ValueError(
            f"a training set has a name and numbers of {', '.join(counts)}"
        )
    return TrainingSummary(
        told["name"], told["crystals"], told["observations"], told["unique"]
    )
