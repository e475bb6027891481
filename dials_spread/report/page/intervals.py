"""
How 95 % intervals are written, and why some are not.

An estimate at the end of what it can be (a variance of zero, a share of all) has an
interval to one side, which is said as "at most" or "at least". One of no width says that
the data agree exactly: it is not printed as if it told how certain the estimate is.

Functions:
    has_interval: whether there is one to be printed
    with_interval: an estimate, in a sentence
    interval_cell: an interval, in a table
    share_with_interval: a share in per cent, in a sentence
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dials_spread.report.page.labels import NO_VALUE, digits

FOOTNOTE = (
    "– in a column 95 %: no interval over crystals, because there are too few crystals. ≤ "
    "or ≥: the estimate is at the end of its range (such as a variance of zero)."
)


def has_interval(value: float, low: float, high: float) -> bool:
    """
    Whether an interval says how certain an estimate is.

    Args:
        value: The estimate.
        low: End of its interval; nan without one.
        high: The other end.
    """
    return bool(np.isfinite([low, high]).all() and low < value < high)


def _to_one_side(
    value: float, low: float, high: float, write: Callable[[float], str]
) -> str:
    """Say the interval of an estimate at its end, or why there is none."""
    if not np.isfinite([value, low, high]).all():
        return ""
    if low == high:
        return " (no interval: the same in every bootstrap sample)"
    if low == value < high:
        return f" (95 %: at most {write(high)})"
    if low < value == high:
        return f" (95 %: at least {write(low)})"
    return " (no interval: it does not hold its estimate)"


def with_interval(
    value: float, low: float, high: float, write: Callable[[float], str] = digits
) -> str:
    """
    Write an estimate with its interval, or with the reason why there is none.

    Args:
        value: The estimate.
        low: End of the 95 % interval over crystals; nan without one.
        high: The other end.
        write: How a number is written.

    Returns:
        Such as ``0.250 (95 %: 0.200 to 0.300)``.
    """
    text = write(value)
    if has_interval(value, low, high):
        return f"{text} (95 %: {write(low)} to {write(high)})"
    return text + _to_one_side(value, low, high, write)


def share_with_interval(value: float, low: float = np.nan, high: float = np.nan) -> str:
    """
    Write a share in per cent with its interval.

    Args:
        value: 0 to 1, or more.
        low: End of the 95 % interval; nan without one.
        high: The other end.

    Returns:
        Such as ``54 % (95 %: 21 to 78 %)``.
    """
    numbers = [100 * value, 100 * low, 100 * high]
    if not has_interval(value, low, high):
        low, high = numbers[1:]
        return f"{_round(numbers[0])} %" + _to_one_side(
            numbers[0], low, high, lambda x: f"{_round(x)} %"
        )
    told = [_round(v) for v in numbers]
    decimals = 1
    while told[1] == told[2] and decimals < MOST_DECIMALS:
        told = [_round(v, decimals) for v in numbers]
        decimals += 1
    return f"{told[0]} % (95 %: {told[1]} to {told[2]} %)"


MOST_DECIMALS = 4
"""Of per cents whose interval would look as if it had no width."""


def _round(value: float, decimals: int | None = None) -> str:
    """No digits after the point from ten, one below, none of zero; or as many as said."""
    if value == 0:
        return "0"
    if decimals is not None:
        return f"{value:.{decimals}f}".replace("-", "−")
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}".replace("-", "−")


def interval_cell(
    value: float, low: float, high: float, n: int = 3, write=digits
) -> str:
    """
    Write an interval for a table.

    Args:
        value: The estimate.
        low: End of the 95 % interval; nan without one.
        high: The other end.
        n: Significant digits.
        write: How a number is written.

    Returns:
        ``0.200 – 0.300``; ``≤ 0.300`` of an estimate at its lower end, ``≥ 0.200`` at its
        upper one; a dash where there is none.
    """
    if not has_interval(value, low, high):
        if np.isfinite([low, high]).all() and low < high:
            if value == low:
                return f"≤ {write(high, n)}"
            if value == high:
                return f"≥ {write(low, n)}"
        return NO_VALUE
    return f"{write(low, n)} – {write(high, n)}"
