"""
Training of the network, with PyTorch, which only this module needs.

What is minimised is what counts: the mean over data sets of ln(R1 after / R1 before), R1
with the scale that fits best by least squares. Sets are as important as one another,
however many reflections they have. The expected error is learnt beside it, as that of a
Laplace distribution.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials_spread.correction.features.all_features import FeatureSet
from dials_spread.correction.model.boosting import one_openmp_thread
from dials_spread.correction.model.network.inputs import (
    OBSERVATION_INPUTS,
    REFLECTION_INPUTS,
    Squash,
    observation_rows,
)
from dials_spread.correction.model.network.shapes import Network
from dials_spread.correction.model.tree_model import target_amplitudes

logger = logging.getLogger("dials.spread.network")

SETS_IN_STEP = 12
MOST_OBSERVATIONS = 4000
"""Of a larger set some reflections are drawn anew for every step."""

LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.03
DROPOUT = 0.05
ERROR_WEIGHT = 0.1
SCALE_WEIGHT = 0.3
"""Of the square by which the best scale differs from 1: the scale is to be kept."""

AVERAGED_STEPS = 200.0
"""The network that is kept is the mean of about the last steps."""


@dataclass(frozen=True)
class NetworkTraining:
    """
    How a network is trained.

    Attributes:
        width: Numbers in a layer.
        epochs: Times that every set is seen.
        seed: Of all random numbers.
    """

    width: int = 64
    epochs: int = 12
    seed: int = 0


def torch_or_explain():
    """
    Import PyTorch.

    Raises:
        ValueError: It is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ValueError(
            "Training a network needs PyTorch: pip install 'dials_spread[network]', or "
            "use --engine trees"
        ) from None
    return torch


def fit_network(
    sets: Sequence[FeatureSet],
    amplitudes: Sequence[np.ndarray],
    training: NetworkTraining = NetworkTraining(),  # noqa: B008, it is immutable
) -> Network:
    """
    Fit a network to data sets whose amplitudes are known.

    Args:
        sets: Features.
        amplitudes: Kinematic |F| of each, shape (u,).
        training: How.

    Raises:
        ValueError: PyTorch is not installed.
    """
    torch = torch_or_explain()
    # Beside the stand-ins for OpenMP that DIALS brings, more threads end the process.
    torch.set_num_threads(1)
    with one_openmp_thread():
        return _fit(torch, sets, amplitudes, training)


def _fit(torch, sets, amplitudes, training: NetworkTraining) -> Network:
    from dials_spread.correction.model.network.module import make_module, to_network

    rng = np.random.default_rng(training.seed)
    torch.manual_seed(training.seed)
    of_observations, of_reflections = _fit_squashes(sets, rng)
    examples = [
        _example(torch, s, F, of_observations, of_reflections)
        for s, F in zip(sets, amplitudes)
    ]
    module = make_module(
        len(OBSERVATION_INPUTS), len(REFLECTION_INPUTS), training.width, DROPOUT
    )
    n_steps = math.ceil(len(examples) / SETS_IN_STEP) * training.epochs
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=n_steps, pct_start=0.15
    )
    averaged, step = copy.deepcopy(module).eval(), 0
    for epoch in range(training.epochs):
        losses = []
        order = rng.permutation(len(examples))
        for chosen in np.array_split(order, math.ceil(len(order) / SETS_IN_STEP)):
            some = [_some(torch, examples[i], rng) for i in chosen]
            loss, ln_ratio = _loss(torch, module, some)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            _keep_average(torch, averaged, module, step)
            losses.append(float(ln_ratio))
        logger.info(
            "Epoch %d of %d: R1 to %.4f of what it was", epoch + 1, training.epochs,
            math.exp(np.mean(losses)),
        )  # fmt: skip
    return to_network(
        averaged, OBSERVATION_INPUTS, REFLECTION_INPUTS, training.width,
        of_observations, of_reflections,
    )  # fmt: skip


def _fit_squashes(
    sets: Sequence[FeatureSet], rng: np.random.Generator
) -> tuple[Squash, Squash]:
    """Fit to some rows of every set."""
    observations, reflections = [], []
    for one in sets:
        some = rng.choice(len(one.unique), min(len(one.unique), 300), replace=False)
        observations.append(observation_rows(one)[some])
        reflections.append(one.reflection)
    return (
        Squash.fitted_to(np.concatenate(observations)),
        Squash.fitted_to(np.concatenate(reflections)),
    )


def _example(torch, one: FeatureSet, F: np.ndarray, of_observations, of_reflections):
    """Give a set as tensors: inputs, then what the loss needs."""
    target = target_amplitudes(one, F)
    known = np.isfinite(target)
    root_N = np.where(known, np.sqrt(one.N), 0.0)
    target = np.where(known, target, 0.0)
    before = np.sum(root_N * np.abs(one.E_k - target)) / np.sum(root_N * target)
    crystal = np.unique(one.crystal, return_inverse=True)[1].ravel()
    arrays = {
        "observation": of_observations(observation_rows(one)),
        "reflection": of_reflections(one.reflection),
        "E_i": one.E_i.astype(np.float32),
        "E_k": one.E_k.astype(np.float32),
        "unique": one.unique.astype(np.int64),
        "crystal": crystal.astype(np.int64),
        "root_N": root_N.astype(np.float32),
        "target": target.astype(np.float32),
        "before": np.array([max(before, 1e-3)], dtype=np.float32),
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _some(torch, example: dict, rng: np.random.Generator) -> dict:
    """Give as many reflections of a set as have MOST_OBSERVATIONS, with all of theirs."""
    unique = example["unique"]
    if len(unique) <= MOST_OBSERVATIONS:
        return example
    n = torch.bincount(unique, minlength=len(example["E_k"]))
    order = torch.from_numpy(rng.permutation(len(n)))
    kept = torch.zeros(len(n), dtype=torch.bool)
    kept[order[torch.cumsum(n[order], 0) <= MOST_OBSERVATIONS]] = True
    kept[order[0]] = True
    rows, number = kept[unique], torch.cumsum(kept, 0) - 1
    chosen = {k: example[k][kept] for k in ("reflection", "E_k", "root_N", "target")}
    chosen |= {k: example[k][rows] for k in ("observation", "E_i", "crystal")}
    chosen |= {"unique": number[unique[rows]], "before": example["before"]}
    return chosen


def _join(torch, examples: Sequence[dict]) -> dict:
    """Put sets behind one another; groups are numbered through."""
    joined = {
        name: torch.cat([e[name] for e in examples])
        for name in ("observation", "reflection", "E_i", "E_k", "root_N", "target", "before")
    }  # fmt: skip
    for name, last in (("unique", lambda e: len(e["E_k"])), ("crystal", _n_crystals)):
        parts, at = [], 0
        for e in examples:
            parts.append(e[name] + at)
            at += last(e)
        joined[name] = torch.cat(parts)
    for name, of in (("set_of_observation", "E_i"), ("set_of_reflection", "E_k")):
        sizes = torch.tensor([len(e[of]) for e in examples])
        joined[name] = torch.repeat_interleave(torch.arange(len(examples)), sizes)
    return joined


def _n_crystals(example: dict) -> int:
    return int(example["crystal"].max()) + 1


def _loss(torch, module, examples: Sequence[dict]):
    """Give the loss of some sets, and the mean of ln(R1 after / R1 before)."""
    x = _join(torch, examples)
    E, ln_error = module(x)
    of = x["set_of_reflection"]

    def total(values):
        return torch.zeros(len(examples)).index_add_(0, of, values)

    # Below zero a little slope is left, or what is there could never come back.
    positive = torch.nn.functional.leaky_relu(E, 0.1)
    weight, y = x["root_N"], x["target"]
    scale = total(weight * positive * y) / total(weight * positive**2).clamp(min=1e-6)
    off = (positive * scale[of] - y).abs()
    r1 = total(weight * off) / total(weight * y)
    ln_ratio = torch.log(r1.clamp(min=1e-4) / x["before"]).mean()
    known = (weight > 0).float()
    laplace = known * (off.detach() * torch.exp(-ln_error) + ln_error)
    errors = (total(laplace) / total(known).clamp(min=1)).mean()
    loss = ln_ratio + ERROR_WEIGHT * errors + SCALE_WEIGHT * ((scale - 1) ** 2).mean()
    return loss, ln_ratio.detach()


def _keep_average(torch, averaged, module, step: int) -> None:
    """Move the averaged network towards the present one."""
    keep = min(1 - 1 / AVERAGED_STEPS, step / (step + 10))
    with torch.no_grad():
        for mean, now in zip(averaged.parameters(), module.parameters()):
            mean.mul_(keep).add_(now, alpha=1 - keep)
