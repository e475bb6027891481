"""
The network as a PyTorch module; `predict.py` does the same with numpy.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import silu

from dials_spread.correction.model.network.inputs import Squash
from dials_spread.correction.model.network.predict import STEEPEST
from dials_spread.correction.model.network.shapes import HEADS, Network, layers


class SetNetwork(nn.Module):
    """
    See `shapes` for the layers.

    Attributes:
        layer: By name.
        dropout: On the first sums of `judge`, while training.
    """

    def __init__(self, sizes: dict[str, tuple[int, int]], dropout: float) -> None:
        super().__init__()
        self.layer = nn.ModuleDict(
            {k.replace(".", "_"): nn.Linear(n_in, n_out) for k, (n_out, n_in) in sizes.items()}
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        # The first guess is the plain mean of amplitudes, certain to about a fifth.
        for name in ("give", "judge_2"):
            nn.init.zeros_(self.layer[name].weight)
            nn.init.zeros_(self.layer[name].bias)
        with torch.no_grad():
            self.layer["judge_2"].bias[HEADS + 1] = np.log(0.2)

    def forward(self, x: dict) -> tuple:
        """
        Give corrected amplitudes and the logarithm of their expected errors.

        Args:
            x: Tensors of some sets: observation (n, inputs), reflection (u, inputs),
                E_i (n,), E_k (u,), unique (n,), crystal (n,), set_of_observation (n,)
                and set_of_reflection (u,).
        """
        layer, unique, crystal = self.layer, x["unique"], x["crystal"]
        of, n_unique = x["set_of_observation"], len(x["E_k"])
        n_crystals, n_sets = int(crystal.max()) + 1, int(of.max()) + 1
        r = silu(layer["reflect_1"](silu(layer["reflect_0"](x["reflection"]))))
        h = layer["observe"](x["observation"]) + layer["observe_reflection"](r)[unique]
        h = silu(layer["mix"](silu(h)))
        mean = _means(h, unique, n_unique)
        context = silu(layer["crystal"](_means(h, crystal, n_crystals)))
        whole = silu(layer["whole"](_means(h, of, n_sets)))
        h = layer["again"](h) + layer["again_reflection"](mean)[unique]
        h = h + layer["again_crystal"](context)[crystal]
        h = h + layer["again_whole"](whole)[of]
        out = layer["give"](silu(h))
        weight = torch.exp(STEEPEST * torch.tanh(out[:, :HEADS] / STEEPEST))
        value = x["E_i"][:, None] - out[:, HEADS : 2 * HEADS]
        heads = _sums(weight * value, unique, n_unique)
        heads = heads / _sums(weight, unique, n_unique)
        more = _means(out[:, 2 * HEADS :], unique, n_unique)
        away = heads - x["E_k"][:, None]
        last = whole[x["set_of_reflection"]]
        known = torch.cat([x["reflection"], r, heads, away, more, mean, last], 1)
        z = self.dropout(silu(layer["judge_0"](known)))
        z = layer["judge_2"](silu(layer["judge_1"](z)))
        E = (torch.softmax(z[:, :HEADS], 1) * heads).sum(1) + z[:, HEADS]
        return E, z[:, HEADS + 1].clamp(-STEEPEST, STEEPEST)


def _sums(rows, group, n_groups: int):
    return torch.zeros(n_groups, rows.shape[1]).index_add_(0, group, rows)


def _means(rows, group, n_groups: int):
    count = torch.zeros(n_groups).index_add_(0, group, torch.ones(len(group)))
    return _sums(rows, group, n_groups) / count.clamp(min=1)[:, None]


def make_module(
    n_observation: int, n_reflection: int, width: int, dropout: float = 0.0
) -> SetNetwork:
    """
    Make an untrained network.

    Args:
        n_observation, n_reflection: Inputs of an observation and of a reflection.
        width: Numbers in a layer.
        dropout: Part of them that is left out while training.
    """
    return SetNetwork(layers(n_observation, n_reflection, width), dropout)


def to_network(
    module: SetNetwork,
    observation_names: tuple[str, ...],
    reflection_names: tuple[str, ...],
    width: int,
    of_observations: Squash,
    of_reflections: Squash,
) -> Network:
    """
    Take the arrays out of a module.

    Args:
        module: Trained.
        observation_names, reflection_names: Of its inputs.
        width: Numbers in a layer.
        of_observations, of_reflections: How inputs were made comparable.
    """
    arrays = {
        "observation.centre": of_observations.centre,
        "observation.width": of_observations.width,
        "reflection.centre": of_reflections.centre,
        "reflection.width": of_reflections.width,
    }
    for name in layers(len(observation_names), len(reflection_names), width):
        own = module.layer[name.replace(".", "_")]
        arrays[f"{name}.weight"] = own.weight.detach().numpy().copy()
        arrays[f"{name}.bias"] = own.bias.detach().numpy().copy()
    return Network(tuple(observation_names), tuple(reflection_names), width, arrays)
