"""
What is fitted: networks or boosted trees, as tasks that can run side by side.

Every task reads the training sets from their files, so that little goes between
processes.

Functions:
    read_sets: of all compounds
    fit_model: of some sets
    fit_bias: by how much observations are off
    run_part: one task
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dials_spread.correction.model.boosting import BoostedTrees
from dials_spread.correction.model.general import GeneralModel, SetModel, TreeModel
from dials_spread.correction.model.network.fit import NetworkTraining, fit_network
from dials_spread.correction.model.network.shapes import Network
from dials_spread.correction.model.tree_model import (
    TwoModels,
    default_regressor,
    fit_two_models,
    target_amplitudes,
)
from dials_spread.general_model.gather import VirtualExperiment, gather_compound
from dials_spread.general_model.out_of_fold import Assessed, assess, folds

ENGINES = ("network", "trees")

MOST_ROWS = 1_000_000
"""Observations that a forest is fitted to; more of them change little and cost time."""


@dataclass(frozen=True)
class Work:
    """
    What all tasks share.

    Attributes:
        folder: With the files of `gather_compound`.
        seeds: Of the compounds.
        engine: One of ENGINES.
        n_folds: Of compounds.
        seed: Of folds and fits.
        trees: Of each forest.
        epochs: Of a network.
        width: Of its layers.
    """

    folder: str
    seeds: tuple[int, ...]
    engine: str = "network"
    n_folds: int = 4
    seed: int = 0
    trees: int = 200
    epochs: int = 12
    width: int = 64


def read_sets(work: Work) -> list[VirtualExperiment]:
    """
    Read the training sets of all compounds.

    Args:
        work: Folder and seeds.
    """
    return [s for seed in work.seeds for s in gather_compound(work.folder, seed)]


def regressors(trees: int) -> Callable[[str, int], BoostedTrees]:
    """
    Give what makes unfitted regressors from a loss and a seed.

    Args:
        trees: Of each forest.
    """

    def make(loss: str, seed: int) -> BoostedTrees:
        return default_regressor(loss, seed).set_params(max_iter=trees)

    return make


@dataclass(frozen=True)
class FoldResult:
    """
    What came of one fold.

    Attributes:
        assessed: Its sets, corrected by a model of the others.
        model: That model.
    """

    assessed: list[Assessed]
    model: GeneralModel


def run_part(
    work: Work, part: tuple[str, int], threads: int | None = 1
) -> FoldResult | BoostedTrees | TwoModels:
    """
    Do one task.

    Args:
        work: What all share.
        part: "fold" and its number: what a model of the other folds does for its sets;
            "bias" or "trees" and any number: fitted to all sets.
        threads: Not used; a driver that stays in one process passes it.
    """
    kind, number = part
    sets = read_sets(work)
    if kind == "bias":
        return fit_bias(work, sets)
    if kind == "trees":
        return _fit_trees(work, sets)
    fold = folds([s.compound for s in sets], work.n_folds, work.seed)
    others = [s for s, f in zip(sets, fold) if f != number]
    model = fit_model(work, others, number)
    return FoldResult(
        [assess(s, model) for s, f in zip(sets, fold) if f == number], model
    )


def fit_model(
    work: Work, sets: Sequence[VirtualExperiment], number: int
) -> GeneralModel:
    """
    Fit what the engine makes.

    Args:
        work: Engine and sizes.
        sets: To fit to.
        number: Of the fold, for the seed.
    """
    if work.engine == "trees":
        return TreeModel(_fit_trees(work, sets))
    return SetModel((_fit_network(work, sets, number),))


def _fit_network(work: Work, sets: Sequence[VirtualExperiment], number: int) -> Network:
    training = NetworkTraining(work.width, work.epochs, work.seed + number)
    return fit_network([s.features for s in sets], [s.F for s in sets], training)


def _fit_trees(work: Work, sets: Sequence[VirtualExperiment]) -> TwoModels:
    return fit_two_models(
        [s.features for s in sets],
        [s.F for s in sets],
        [s.compound for s in sets],
        np.random.default_rng(work.seed),
        regressors(work.trees),
    )


def fit_bias(work: Work, sets: Sequence[VirtualExperiment]) -> BoostedTrees:
    """
    Fit by how much observations are off, their own intensity not seen.

    Args:
        work: Sizes.
        sets: To fit to.
    """
    rows, deviation = [], []
    for s in sets:
        target = target_amplitudes(s.features, s.F)
        rows.append(s.features.observation)
        deviation.append(s.features.E_i - target[s.features.unique])
    rows, deviation = np.concatenate(rows), np.concatenate(deviation)
    chosen = np.flatnonzero(np.isfinite(deviation))
    if len(chosen) > MOST_ROWS:
        rng = np.random.default_rng(work.seed)
        chosen = rng.choice(chosen, MOST_ROWS, replace=False)
    model = regressors(work.trees)("squared_error", work.seed)
    return model.fit(rows[chosen], deviation[chosen])
