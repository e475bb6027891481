"""
What a model has not seen: by crystal, by unique reflection, by compound.

Merged intensities of a compound carry its |F|. A model that has seen other crystals of
the compound knows the answer for each reflection from its resolution alone, so the
split by crystal flatters, always. Unique reflections that it has not seen tell whether
it learned anything about scattering, and compounds that it has not seen whether that
helps anyone else.

Functions:
    split_by: folds of whole groups
    split_by_ranges: given crystals for training, others for the test
    predict_unseen: predictions for every row from a model that has not seen it
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dials_spread import stages

SPLITS = ("crystal", "reflection", "compound")
"""What is left out together; reported side by side, in this order."""


@dataclass(frozen=True)
class Fold:
    """
    One division into what is seen and what is not.

    Attributes:
        train: Shape (n,), bool: rows to be fitted to.
        test: Shape (n,), bool: rows to be predicted; none of their groups is in train.
    """

    train: np.ndarray
    test: np.ndarray


def split_by(
    what: str, groups: np.ndarray, n_folds: int, rng: np.random.Generator
) -> list[Fold]:
    """
    Divide rows into folds of whole groups, each left out once.

    Args:
        what: The kind of group, of SPLITS, for the message.
        groups: Shape (n,), labels. Unique reflections are those of the Laue group, so
            that neither Friedel mates nor equivalents are on both sides.
        n_folds: Folds wanted; no more than there are groups.
        rng: Source of random numbers.

    Returns:
        The folds.

    Raises:
        ValueError: There is one group only.
    """
    names, number = np.unique(groups, return_inverse=True)
    n_groups = len(names)
    if n_groups < 2 or n_folds < 2:
        there = f"there {'is' if n_groups == 1 else 'are'} {n_groups}"
        if n_folds < 2:
            there = f"{n_folds} folds were asked for, where two are needed"
        raise ValueError(f"a split by {what} needs two {what}s at least; {there}")
    fold_of = np.empty(n_groups, dtype=int)
    fold_of[rng.permutation(n_groups)] = np.arange(n_groups) % n_folds
    fold = fold_of[np.ravel(number)]
    return [Fold(fold != k, fold == k) for k in range(min(n_folds, n_groups))]


def parse_range(told: str, n: int) -> np.ndarray:
    """
    Give the numbers of a range as Python writes it.

    Args:
        told: As "0:100", "100:", ":5" or "7".
        n: How many there are.

    Returns:
        The numbers.

    Raises:
        ValueError: It is no range, or an empty one.
    """
    match = re.match(r"^\s*(\d*)\s*(:?)\s*(\d*)\s*$", told)
    if not match or not any(match.groups()):
        raise ValueError(f"{told} is no range of crystals such as 0:100")
    first = int(match[1] or 0)
    if match[2]:
        stop = int(match[3]) if match[3] else n
    else:
        stop = first + 1
    if not first < stop <= n:
        raise ValueError(f"Crystals {told} are not there; they are 0:{n}")
    return np.arange(first, stop)


def split_by_ranges(crystal: np.ndarray, n: int, train: str, test: str) -> Fold:
    """
    Take given crystals for training and others for the test.

    Args:
        crystal: Shape (rows,), number of the crystal.
        n: Number of crystals.
        train: Range of crystals, such as "0:100".
        test: Likewise.

    Returns:
        The division.

    Raises:
        ValueError: A range is none, or they overlap.
    """
    seen, unseen = parse_range(train, n), parse_range(test, n)
    both = np.intersect1d(seen, unseen)
    if len(both):
        raise ValueError(
            f"Crystals {train} for training and {test} for the test have {len(both)} in "
            f"common, such as {both[0]}"
        )
    return Fold(np.isin(crystal, seen), np.isin(crystal, unseen))


def predict_unseen(
    fit: Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]],
    folds: Sequence[Fold],
    progress: str | None = None,
) -> np.ndarray:
    """
    Predict every row with a model that has not seen it.

    Args:
        fit: Given which rows to be fitted to, a mask of shape (n,), returns a function
            that predicts rows, given by a mask too: one number each, or several.
        folds: Of these n rows.
        progress: Of a stage of its own, shown on a terminal; None for a part of another.

    Returns:
        Shape (n,), or (n, numbers); nan for rows that no fold tests.
    """
    predicted: np.ndarray | None = None
    for fold in stages.counted(folds, len(folds), progress):
        told = np.asarray(fit(fold.train)(fold.test))
        if predicted is None:
            predicted = np.full((len(fold.test), *told.shape[1:]), np.nan)
        predicted[fold.test] = told
    if predicted is None:
        raise ValueError("There are no folds, and nothing can be predicted")
    return predicted
