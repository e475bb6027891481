"""
How images, indices and numbers are written for readers.

Crystals and datasets are numbered from 0, as the experiments in DIALS; frames as in
their scan.

Functions:
    image_label, image_document: an image, in text and in the JSON document
    document_label: text for what image_document gives
    hkl_label, zone_label: Miller indices, zone axes
    digits: a number with as many digits as make sense
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations

NO_VALUE = "–"
"""Stands where a statistic is undefined."""


def frames_label(first: int, last: int) -> str:
    """
    Name the frames of an image.

    Args:
        first: Number of the first frame.
        last: Number of the last frame that belongs to it.

    Returns:
        ``12``, or ``12–15`` for joined frames.
    """
    return str(first) if first == last else f"{first}–{last}"


def image_label(observations: Observations, image: int) -> str:
    """
    Name an image in a line of text.

    Args:
        observations: With the images.
        image: Number of the image.

    Returns:
        ``crystal / frames``, such as ``3 / 12–15``.
    """
    images = observations.images
    frames = frames_label(int(images.first[image]), int(images.last[image]))
    return f"{images.crystal[image]} / {frames}"


def image_document(observations: Observations, image: int) -> dict:
    """
    Name an image in the JSON document.

    Args:
        observations: With the images.
        image: Number of the image.

    Returns:
        ``dataset``, ``crystal``, ``image`` (its first frame) and ``image_last``.
    """
    images = observations.images
    crystal = int(images.crystal[image])
    return {
        "dataset": int(observations.dataset[crystal]),
        "crystal": crystal,
        "image": int(images.first[image]),
        "image_last": int(images.last[image]),
    }


def document_label(entry: dict) -> str:
    """
    Name an image of the JSON document in a line of text.

    Args:
        entry: As image_document gives it; ``image_last`` may be absent.

    Returns:
        ``dataset / crystal / frames``, such as ``0 / 3 / 12–15``.
    """
    first = entry["image"]
    frames = frames_label(first, entry.get("image_last", first))
    return f"{entry.get('dataset')} / {entry.get('crystal')} / {frames}"


def hkl_label(miller_index: np.ndarray) -> str:
    """
    Write Miller indices.

    Args:
        miller_index: Shape (3,), int.

    Returns:
        Such as ``1 -2 3``, with proper minus signs.
    """
    return " ".join(str(int(i)) for i in miller_index).replace("-", "−")


def zone_label(uvw: np.ndarray) -> str:
    """Write a zone axis, such as ``[1 −1 0]``."""
    return f"[{hkl_label(uvw)}]"


def digits(value: float | None, n: int = 3) -> str:
    """
    Write a number with n significant digits; integers, and what is before the point,
    in full.

    Args:
        value: None and nan for what is undefined.
        n: Significant digits.

    Returns:
        Such as ``0.123`` or ``1,234``.
    """
    if value is None or not np.isfinite(value):
        return NO_VALUE
    if value == int(value):
        return f"{int(value):,}".replace("-", "−")
    decimals = n - 1 - int(np.floor(np.log10(abs(value))))
    if decimals > 6:
        return f"{value:.{n - 1}e}".replace("-", "−")
    return f"{value:,.{max(decimals, 0)}f}".replace("-", "−")


def counted(n: int, what: str) -> str:
    """
    Write a number of things.

    Args:
        n: How many.
        what: One of them.

    Returns:
        Such as ``1 crystal`` or ``1,234 crystals``.
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"
