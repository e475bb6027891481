"""
Model files that may come from a stranger: numbers and text, no code.

Layout, integers little-endian::

    "dials_spread model 1\\n"
    8 bytes     length of the header
    header      JSON: the card, settings, and the sizes of what follows
    payload     zlib of the arrays of forests (correction/model/forest_bytes.py) and networks
    32 bytes    SHA-256 of everything before

The checksum tells of damage, not of intent: whoever writes a file can compute it. So
nothing in a file is believed. Sizes are bounded before memory is taken for them, and
every number that is used as a place is checked (`correction/model/forest_bytes.py`). Networks are
float32 arrays whose shapes follow from their layers (`correction/model/network/shapes.py`).

Functions:
    write_model, read_model, model_bytes
    check_features: tell which features are missing
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dials_spread.correction.model.card import Card, card_from, check_plain
from dials_spread.correction.model.forest import Forest
from dials_spread.correction.model.forest_bytes import (
    check_sizes,
    forest_from_bytes,
    forest_to_bytes,
    n_bytes,
)
from dials_spread.correction.model.network.shapes import Network, check_network
from dials_spread.correction.model.network_bytes import (
    network_from_bytes,
    network_n_bytes,
    network_to_bytes,
)
from dials_spread.correction.model.store_header import (
    SIZES,
    forest_sizes,
    network_layout,
    read_header,
)
from dials_spread.output_files import write_bytes

MAGIC = b"dials_spread model 1\n"

MAX_FILE = 2**26
"""Bytes of a file: far more than boosted trees need."""

MAX_HEADER = 2**21
"""Bytes of a header."""

MAX_NETWORKS = 20


@dataclass(frozen=True)
class Model:
    """
    What a model file holds.

    Attributes:
        card: What the model is.
        forests: By name; each knows its features.
        networks: Whose mean is taken; there may be none.
        settings: Numbers by name, for whoever uses the forests.
        checksum: SHA-256 of the file; empty before it is written.
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
        The checksum.

    Raises:
        ValueError: The model is of a kind that `read_model` would refuse.
    """
    content = model_bytes(model)
    write_bytes(filename, content)
    return content[-32:].hex()


def model_bytes(model: Model) -> bytes:
    """
    Give the content of a model file.

    Args:
        model: The model.

    Raises:
        ValueError: The model is of a kind that `read_model` would refuse.
    """
    content = _pack(model)
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
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "no such file"
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


def _pack(model: Model) -> bytes:
    """Give the content of a file."""
    parts, told = [], []
    for name, forest in model.forests.items():
        packed, sizes = forest_to_bytes(forest)
        parts.append(packed)
        told.append(
            {
                "name": name,
                "features": list(forest.feature_names),
                "baseline": forest.baseline,
                **dict(zip(SIZES, sizes)),
            }
        )
    for network in model.networks:
        check_network(network)
        parts.append(network_to_bytes(network))
    header = {
        "card": model.card.as_dict(),
        "settings": dict(model.settings),
        "forests": told,
        "networks": [
            {
                "width": network.width,
                "observation": list(network.observation_names),
                "reflection": list(network.reflection_names),
            }
            for network in model.networks
        ],
    }
    check_plain(header, "header")
    text = json.dumps(header, allow_nan=False, sort_keys=True).encode("utf-8")
    content = MAGIC + struct.pack("<Q", len(text)) + text
    content += zlib.compress(b"".join(parts), 9)
    return content + hashlib.sha256(content).digest()


def _unpack(content: bytes) -> Model:
    """Make a model from the content of a file, believing nothing of it."""
    start = len(MAGIC) + 8
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError("it does not begin as one of this version does")
    if not start + 32 < len(content) <= MAX_FILE:
        raise ValueError(f"its size of {len(content)} bytes is out of range")
    if hashlib.sha256(content[:-32]).digest() != content[-32:]:
        raise ValueError("its checksum is wrong, so it is damaged or incomplete")
    (length,) = struct.unpack("<Q", content[len(MAGIC) : start])
    if length > min(MAX_HEADER, len(content) - start - 32):
        raise ValueError(f"a header of {length} bytes does not fit")
    header = read_header(content[start : start + length])
    sizes = [forest_sizes(told) for told in header["forests"]]
    check_sizes(sizes)
    layouts = [network_layout(told) for told in header["networks"]]
    if len(layouts) > MAX_NETWORKS:
        raise ValueError(f"{len(layouts)} networks are too many")
    wanted = sum(n_bytes(*some) for some in sizes)
    wanted += sum(network_n_bytes(*layout) for layout in layouts)
    payload = _inflate(content[start + length : -32], wanted)
    forests, at = {}, 0
    for told, some in zip(header["forests"], sizes):
        forests[told["name"]] = forest_from_bytes(
            payload, at, some, tuple(told["features"]), float(told["baseline"])
        )
        at += n_bytes(*some)
    if len(forests) != len(sizes) or not forests:
        raise ValueError("its parts have no names of their own")
    networks = []
    for layout in layouts:
        networks.append(network_from_bytes(payload, at, *layout))
        at += network_n_bytes(*layout)
    card = card_from(header["card"])
    checksum = content[-32:].hex()
    return Model(card, forests, header["settings"], checksum, tuple(networks))


def _inflate(packed: bytes, wanted: int) -> bytes:
    """Decompress exactly as many bytes as are wanted, never more."""
    machine = zlib.decompressobj()
    try:
        payload = machine.decompress(packed, wanted + 1)
    except zlib.error:
        raise ValueError("its trees cannot be decompressed") from None
    if len(payload) != wanted or not machine.eof or machine.unused_data:
        raise ValueError("its trees are more or fewer than the header says")
    return payload
