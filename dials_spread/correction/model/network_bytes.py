"""
The arrays of a network as bytes, and bytes of a stranger as a network.

All arrays in the order of `shapes`, float32, little-endian.

Functions:
    network_n_bytes: to expect
    network_to_bytes, network_from_bytes
"""

from __future__ import annotations

import math

import numpy as np

from dials_spread.correction.model.network.shapes import Network, check_network, shapes


def network_n_bytes(
    observation_names: tuple[str, ...], reflection_names: tuple[str, ...], width: int
) -> int:
    """Count the bytes of a network with these inputs and this width."""
    found = shapes(len(observation_names), len(reflection_names), width)
    return 4 * sum(math.prod(shape) for shape in found.values())


def network_to_bytes(network: Network) -> bytes:
    """
    Give the arrays of a network as bytes.

    Args:
        network: One that `check_network` accepts.
    """
    wanted = shapes(
        len(network.observation_names), len(network.reflection_names), network.width
    )
    return b"".join(network.arrays[name].astype("<f4").tobytes() for name in wanted)


def network_from_bytes(
    content: bytes,
    at: int,
    observation_names: tuple[str, ...],
    reflection_names: tuple[str, ...],
    width: int,
) -> Network:
    """
    Make a network from bytes, believing nothing of them.

    Args:
        content: Of several parts.
        at: Where this one begins; enough follows.
        observation_names, reflection_names: Of its inputs.
        width: Numbers in a layer.

    Raises:
        ValueError: A number is out of range.
    """
    arrays = {}
    found = shapes(len(observation_names), len(reflection_names), width)
    for name, shape in found.items():
        n = math.prod(shape)
        array = np.frombuffer(content, "<f4", n, at).reshape(shape)
        arrays[name] = array.astype(np.float32)
        at += 4 * n
    network = Network(observation_names, reflection_names, width, arrays)
    check_network(network)
    return network
