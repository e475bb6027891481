"""
Which arrays a network has.

The layers, each a matrix and an offset: every observation goes through `observe` and
`mix`; means over its reflection, its crystal and the whole set come back to it in
`again`; `give` tells, for each of some heads, how much the observation weighs and how
much it is off, and a few numbers more. `judge` makes the corrected amplitude of these
sums and of what is known of the reflection, and how far it may be wrong.

Functions:
    shapes: of all arrays
    check_network: that arrays are of these shapes, and numbers
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dials_spread.correction.model.network.inputs import Squash

HEADS = 6
"""Ways of weighing the observations of a reflection."""

WIDTHS = (8, 256)
"""Numbers in a layer that are allowed."""

LARGEST_WEIGHT = 100.0
"""Layers of such weights still give finite numbers."""

LARGEST_INPUT = 1e6
SMALLEST_WIDTH = 1e-12


@dataclass(frozen=True)
class Network:
    """
    A trained network.

    Attributes:
        observation_names: Inputs of an observation.
        reflection_names: Inputs of a reflection.
        width: Numbers in a layer, even.
        arrays: float32, by name, see `shapes`.
    """

    observation_names: tuple[str, ...]
    reflection_names: tuple[str, ...]
    width: int
    arrays: Mapping[str, np.ndarray]

    @property
    def observation_squash(self) -> Squash:
        """How inputs of observations are made comparable."""
        return Squash(
            self.arrays["observation.centre"], self.arrays["observation.width"]
        )

    @property
    def reflection_squash(self) -> Squash:
        """How inputs of reflections are made comparable."""
        return Squash(self.arrays["reflection.centre"], self.arrays["reflection.width"])


def layers(n_observation: int, n_reflection: int, width: int) -> dict[str, tuple]:
    """
    Give the numbers of outputs and inputs of every layer.

    Args:
        n_observation, n_reflection: Inputs of an observation and of a reflection.
        width: Numbers in a layer.
    """
    half = width // 2
    judged = n_reflection + half + 2 * HEADS + half + width + half
    return {
        "reflect.0": (width, n_reflection),
        "reflect.1": (half, width),
        "observe": (width, n_observation),
        "observe_reflection": (width, half),
        "mix": (width, width),
        "crystal": (half, width),
        "whole": (half, width),
        "again": (width, width),
        "again_reflection": (width, width),
        "again_crystal": (width, half),
        "again_whole": (width, half),
        "give": (2 * HEADS + half, width),
        "judge.0": (width, judged),
        "judge.1": (width, width),
        "judge.2": (HEADS + 2, width),
    }


def shapes(n_observation: int, n_reflection: int, width: int) -> dict[str, tuple]:
    """
    Give the shape of every array, in their order in a file.

    Args:
        n_observation, n_reflection: Inputs of an observation and of a reflection.
        width: Numbers in a layer.
    """
    found: dict[str, tuple] = {}
    for part, n in (("observation", n_observation), ("reflection", n_reflection)):
        found[f"{part}.centre"] = found[f"{part}.width"] = (n,)
    for name, (n_out, n_in) in layers(n_observation, n_reflection, width).items():
        found[f"{name}.weight"], found[f"{name}.bias"] = (n_out, n_in), (n_out,)
    return found


def check_network(network: Network) -> None:
    """
    Check a network that may be untrusted input.

    Args:
        network: The network.

    Raises:
        ValueError: An array is missing, of another shape, or no number in range.
    """
    low, high = WIDTHS
    if not (low <= network.width <= high and network.width % 2 == 0):
        raise ValueError(f"a layer of {network.width} numbers is out of range")
    wanted = shapes(
        len(network.observation_names), len(network.reflection_names), network.width
    )
    if {name: a.shape for name, a in network.arrays.items()} != wanted:
        raise ValueError("the arrays of a network are not those of its layers")
    for name, array in network.arrays.items():
        is_input = name.endswith((".centre", ".width"))
        limit = LARGEST_INPUT if is_input else LARGEST_WEIGHT
        if not (np.isfinite(array).all() and np.abs(array).max() <= limit):
            raise ValueError(f"{name} of a network holds no number in range")
        if name.endswith(".width") and array.min() < SMALLEST_WIDTH:
            raise ValueError("an input of a network has no width")
