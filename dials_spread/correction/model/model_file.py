"""
Model files that may be untrusted input: numbers and text, no code.

A file is a safetensors container (https://huggingface.co/docs/safetensors):

- tensors ``forest.<name>.<array>`` are the arrays of `Forest`, ``network.<k>.<array>``
  those of `network.shapes.shapes`;
- its metadata hold one text, ``dials_spread``: JSON with the version of the format, the
  card, settings, and the names of the inputs of each forest and network;
- the tensor ``sha256`` is the digest of the names, shapes, types and bytes of all the
  others and of that text.

The digest tells of damage, not of intent: whoever writes a file can compute it. So
nothing in a file is believed. Its size is bounded before memory is taken, safetensors
keeps every tensor within the file, and every number that is used as a place is checked.

Functions:
    write_model, read_model, model_bytes
    check_features, compare_features: tell which features are missing
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from dials_spread.correction.model.card import Card, card_from, check_plain
from dials_spread.correction.model.forest import Forest, check_forest
from dials_spread.correction.model.network.shapes import (
    WIDTHS,
    Network,
    check_network,
    shapes,
)
from dials_spread.output_files import write_bytes

METADATA = "dials_spread"
FORMAT = 2
"""Of the JSON text in the metadata; 1 was a container of our own, before 0.1.0."""

FORMER_MAGIC = b"dials_spread model 1\n"

DIGEST = "sha256"

MAX_FILE = 2**26
"""Bytes of a file: far more than boosted trees need."""

MAX_HEADER = 2**21
"""Bytes of the JSON at the beginning of a file; safetensors itself allows 10⁸."""

MAX_NETWORKS = 20
MAX_FEATURES = 1000
MAX_FORESTS = 100
MAX_TREES = 50_000

MAX_STEPS = 500_000
"""Levels of all trees together, which is what one prediction may cost."""

_TYPES = {
    "BOOL": "?",
    "F32": "<f4",
    "F64": "<f8",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "u1",
}
"""Of safetensors and numpy: those that a model may have."""

_FOREST = {
    "start": "<i8",
    "feature": "<i4",
    "threshold": "<f8",
    "left": "<i4",
    "right": "<i4",
    "missing_left": "?",
    "value": "<f8",
}
"""Arrays of a forest."""

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_.-]{0,63}\Z")


@dataclass(frozen=True)
class Model:
    """
    What a model file holds.

    Attributes:
        card: What the model is.
        forests: By name; each knows its features.
        networks: Whose mean is taken; there may be none.
        settings: Numbers by name, for whoever uses the forests.
        checksum: SHA-256 of the file, as sha256sum gives it; empty before it is written.
    """

    card: Card
    forests: Mapping[str, Forest]
    settings: Mapping[str, float] = field(default_factory=dict)
    checksum: str = ""
    networks: tuple[Network, ...] = ()


def check_features(model: Model, forest: str, names: Sequence[str]) -> None:
    """
    Check that the features are at hand that a forest needs, in its order.

    Args:
        model: The model.
        forest: Name of the forest.
        names: Features at hand.

    Raises:
        ValueError: The model has no such forest, or other features.
    """
    if forest not in model.forests:
        found = ", ".join(model.forests)
        raise ValueError(f"The model has no part called {forest}; it has: {found}")
    compare_features(model.forests[forest].feature_names, names)


def compare_features(wanted: Sequence[str], names: Sequence[str]) -> None:
    """
    Check that features are those that are wanted, in their order.

    Args:
        wanted: By a part of a model.
        names: At hand.

    Raises:
        ValueError: They are not; those that differ are named.
    """
    if tuple(names) == tuple(wanted):
        return
    told = [
        f"{title}: {', '.join(some)}"
        for title, some in (
            ("not computed here", [n for n in wanted if n not in set(names)]),
            ("unknown to the model", [n for n in names if n not in set(wanted)]),
        )
        if some
    ]
    reason = "; ".join(told) or "their order is another one"
    raise ValueError(f"The model was trained on other features ({reason})")


def write_model(model: Model, filename: str | Path) -> str:
    """
    Write a model into a file, whole or not at all.

    Args:
        model: The model.
        filename: Name of the file.

    Returns:
        The checksum of the file.

    Raises:
        ValueError: The model is of a kind that `read_model` would refuse.
    """
    content = model_bytes(model)
    write_bytes(filename, content)
    return hashlib.sha256(content).hexdigest()


def model_bytes(model: Model) -> bytes:
    """
    Give the content of a model file.

    Args:
        model: The model.

    Returns:
        The same bytes for the same model.

    Raises:
        ValueError: The model is of a kind that `read_model` would refuse.
    """
    description = {
        "format": FORMAT,
        "card": model.card.as_dict(),
        "settings": dict(model.settings),
        "forests": [
            {"name": k, "features": list(f.feature_names), "baseline": f.baseline}
            for k, f in model.forests.items()
        ],
        "networks": [
            {
                "width": network.width,
                "observation": list(network.observation_names),
                "reflection": list(network.reflection_names),
            }
            for network in model.networks
        ],
    }
    check_plain(description, "header")
    text = json.dumps(description, allow_nan=False, sort_keys=True)
    tensors = {
        f"forest.{name}.{part}": np.ascontiguousarray(getattr(forest, part), kind)
        for name, forest in model.forests.items()
        for part, kind in _FOREST.items()
    }
    for k, network in enumerate(model.networks):
        for part, array in network.arrays.items():
            tensors[f"network.{k}.{part}"] = np.ascontiguousarray(array, "<f4")
    digest = np.frombuffer(_digest(text, tensors), np.uint8)
    # One entry only: safetensors writes several in no fixed order.
    content = save({**tensors, DIGEST: digest}, metadata={METADATA: text})
    _unpack(content)  # what cannot be read must not be written
    return content


def read_model(filename: str | Path) -> Model:
    """
    Read a model from a file, whoever wrote it.

    Args:
        filename: Name of the file.

    Returns:
        The model.

    Raises:
        ValueError: It is not a model file, damaged, or makes no sense: one line.
    """
    path = Path(filename)
    if not os.path.isfile(path):
        kind = "a folder, not a file" if os.path.isdir(path) else "no such file"
        raise ValueError(f"{filename}: {kind}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ValueError(f"{filename}: {error.strerror}") from None
    try:
        return _unpack(content)
    except ValueError as error:
        raise ValueError(f"{filename}: no usable model file: {error}") from None


def _unpack(content: bytes) -> Model:
    """Make a model from the content of a file, believing nothing of it."""
    text, tensors = _contents(content)
    digest = tensors.pop(DIGEST, np.zeros(0))
    if digest.tobytes() != _digest(text, tensors):
        raise ValueError("its checksum is wrong, so it is damaged or incomplete")
    description = _description(text)
    forests = _forests(description["forests"], tensors)
    networks = _networks(description["networks"], tensors)
    if tensors:
        raise ValueError(f"{len(tensors)} of its tensors belong to nothing")
    return Model(
        card=card_from(description["card"]),
        forests=forests,
        settings=description["settings"],
        checksum=hashlib.sha256(content).hexdigest(),
        networks=networks,
    )


def _digest(text: str, tensors: Mapping[str, np.ndarray]) -> bytes:
    """Give the SHA-256 of all that a model is made of."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\n{name!r} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.digest()


# --- what is in a file, nothing of it believed ----------------------------------------


def _contents(content: bytes) -> tuple[str, dict[str, np.ndarray]]:
    """Give the text of the metadata, and all tensors, which lie within the content."""
    if content.startswith(FORMER_MAGIC):
        raise ValueError(
            "it was written before dials_spread 0.1.0, in a format that is no longer "
            "read; train the model again (mode=train)"
        )
    if len(content) > MAX_FILE:
        raise ValueError(f"it is larger than {MAX_FILE / 2**20:.0f} MB")
    length = int.from_bytes(content[:8], "little")
    if 8 + length > len(content):
        raise ValueError("it is no safetensors file, or incomplete")
    if length > MAX_HEADER:
        raise ValueError(f"its header of {length} bytes is too long")
    try:
        found = deserialize(content)
        text = json.loads(content[8 : 8 + length])["__metadata__"][METADATA]
    except (SafetensorError, ValueError, RecursionError):
        raise ValueError("it is no safetensors file, or damaged") from None
    except (KeyError, TypeError):
        raise ValueError("it holds no model of dials_spread") from None
    if not isinstance(text, str):
        raise ValueError("it holds no model of dials_spread")
    tensors = {}
    for name, told in found:
        if told["dtype"] not in _TYPES:
            raise ValueError("a tensor is of a type that no model has")
        shape = told["shape"]
        if len(shape) > 2 or (len(shape) == 2 and 0 in shape):
            raise ValueError("a tensor has a shape that no model has")
        array = np.frombuffer(told["data"], _TYPES[told["dtype"]])
        tensors[name] = array.reshape(shape)
    return text, tensors


def _description(text: str) -> dict:
    """Read the text of the metadata; check everything but the card's own structure."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    check_plain(found, "header")
    kinds: dict[str, type] = {
        "card": dict, "settings": dict, "forests": list, "networks": list, "format": int,
    }  # fmt: skip
    if not isinstance(found, dict) or {k: type(found[k]) for k in found} != kinds:
        raise ValueError("its header lacks parts or has other ones")
    if found["format"] != FORMAT:
        raise ValueError(
            f"it has format {found['format']}, and this release reads {FORMAT}: "
            "another release of dials_spread wrote it"
        )
    for name, value in found["settings"].items():
        if not _NAME.match(name) or type(value) not in (int, float):
            raise ValueError(f"the setting {name[:80]} is no number")
    for key, limit in (("forests", MAX_FORESTS), ("networks", MAX_NETWORKS)):
        if len(found[key]) > limit:
            raise ValueError(f"{len(found[key])} {key} are too many")
    return found


def _told_of_forest(told: object) -> tuple[str, tuple[str, ...], float]:
    """Check what the header says of a forest; give name, features and baseline."""
    if not isinstance(told, dict) or set(told) != {"name", "features", "baseline"}:
        raise ValueError("its header lacks what describes the trees")
    _check_names(told["features"])
    if not isinstance(told["name"], str) or not _NAME.match(told["name"]):
        raise ValueError("a forest has no name")
    if type(told["baseline"]) not in (int, float) or abs(told["baseline"]) > 1e9:
        raise ValueError("a baseline is no number in range")
    return told["name"], tuple(told["features"]), float(told["baseline"])


def _told_of_network(told: object) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Check what the header says of a network; give names of inputs, and the width."""
    keys = {"width", "observation", "reflection"}
    if not isinstance(told, dict) or set(told) != keys:
        raise ValueError("its header lacks what describes a network")
    for part in ("observation", "reflection"):
        _check_names(told[part])
    low, high = WIDTHS
    if type(told["width"]) is not int or not low <= told["width"] <= high:
        raise ValueError("the width of a network is no integer in range")
    return tuple(told["observation"]), tuple(told["reflection"]), told["width"]


def _check_names(names: object) -> None:
    """Check names of features."""
    if (
        not isinstance(names, list)
        or not 0 < len(names) <= MAX_FEATURES
        or not all(isinstance(n, str) and _NAME.match(n) for n in names)
        or len(set(names)) != len(names)
    ):
        raise ValueError("the names of its features are missing or odd")


def _networks(told: list, tensors: dict[str, np.ndarray]) -> tuple[Network, ...]:
    """Take the arrays of the networks out of the tensors, and check them."""
    networks = []
    for k, one in enumerate(told):
        observation, reflection, width = _told_of_network(one)
        arrays = {}
        for part in shapes(len(observation), len(reflection), width):
            array = tensors.pop(f"network.{k}.{part}", None)
            if array is None or array.dtype != np.float32:
                raise ValueError("an array of a network is missing or of another type")
            arrays[part] = array
        network = Network(observation, reflection, width, arrays)
        check_network(network)
        networks.append(network)
    return tuple(networks)


def _forests(told: list, tensors: dict[str, np.ndarray]) -> dict[str, Forest]:
    """Take the arrays of the forests out of the tensors, and check them."""
    forests, trees, steps = {}, 0, 0
    for one in told:
        name, features, baseline = _told_of_forest(one)
        forest = _forest(features, baseline, name, tensors)
        steps += check_forest(forest)
        trees += forest.n_trees
        forests[name] = forest
    if not forests or len(forests) != len(told):
        raise ValueError("its forests have no names of their own")
    if trees > MAX_TREES or steps > MAX_STEPS:
        raise ValueError(f"a prediction would take {trees} trees and {steps} steps")
    return forests


def _forest(
    features: tuple[str, ...],
    baseline: float,
    name: str,
    tensors: dict[str, np.ndarray],
) -> Forest:
    """Take the arrays of one forest out of the tensors."""
    found = {}
    for part, kind in _FOREST.items():
        array = tensors.pop(f"forest.{name}.{part}", None)
        if array is None or array.ndim != 1 or array.dtype != np.dtype(kind):
            raise ValueError("an array of a forest is missing or of another type")
        found[part] = array
    return Forest(
        feature_names=features,
        baseline=baseline,
        start=found["start"],
        feature=found["feature"],
        threshold=found["threshold"],
        left=found["left"],
        right=found["right"],
        missing_left=found["missing_left"],
        value=found["value"],
    )
