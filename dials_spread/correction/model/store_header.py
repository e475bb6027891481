"""
The header of a model file, as a stranger may have written it.

Functions:
    read_header: everything but the card's own structure is checked
    forest_sizes, network_layout: of one part
"""

from __future__ import annotations

import json
import re

from dials_spread.correction.model.card import check_plain
from dials_spread.correction.model.forest_bytes import MAX_FEATURES
from dials_spread.correction.model.network.shapes import WIDTHS

SIZES = ("trees", "nodes", "thresholds")
"""What a header says of each forest."""

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")


def read_header(text: bytes) -> dict:
    """Read the header, and check everything but the card's own structure."""
    try:
        header = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    check_plain(header, "header")
    kinds = {"card": dict, "settings": dict, "forests": list, "networks": list}
    if not isinstance(header, dict) or {k: type(header[k]) for k in header} != kinds:
        raise ValueError("its header lacks parts or has other ones")
    for name, value in header["settings"].items():
        if not _NAME.match(name) or type(value) not in (int, float):
            raise ValueError(f"the setting {name[:80]} is no number")
    return header


def forest_sizes(told: object) -> tuple[int, int, int]:
    """Check what the header says of one forest; give its sizes."""
    keys = {"name", "features", "baseline", *SIZES}
    if not isinstance(told, dict) or set(told) != keys:
        raise ValueError("its header lacks what describes the trees")
    _check_names(told["features"])
    if not isinstance(told["name"], str) or not _NAME.match(told["name"]):
        raise ValueError("a part has no name")
    if type(told["baseline"]) not in (int, float) or abs(told["baseline"]) > 1e9:
        raise ValueError("a baseline is no number in range")
    if any(type(told[key]) is not int for key in SIZES):
        raise ValueError("a size is no integer")
    return told["trees"], told["nodes"], told["thresholds"]


def _check_names(names: object) -> None:
    """Check names of features."""
    if (
        not isinstance(names, list)
        or not 0 < len(names) <= MAX_FEATURES
        or not all(isinstance(n, str) and _NAME.match(n) for n in names)
        or len(set(names)) != len(names)
    ):
        raise ValueError("the names of its features are missing or odd")


def network_layout(told: object) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Check what the header says of a network; give names of inputs, and the width."""
    if not isinstance(told, dict) or set(told) != {
        "width",
        "observation",
        "reflection",
    }:
        raise ValueError("its header lacks what describes a network")
    for part in ("observation", "reflection"):
        _check_names(told[part])
    low, high = WIDTHS
    if type(told["width"]) is not int or not low <= told["width"] <= high:
        raise ValueError("the width of a network is no integer in range")
    return tuple(told["observation"]), tuple(told["reflection"]), told["width"]
