"""Resolution shells, and what chance gives: values shuffled within them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shells:
    """
    Resolution shells with nearly equal numbers of reflections.

    Attributes:
        shell: Shape (n,), the shell of each reflection; 0 has the lowest resolution.
        d_max: Shape (shells,) [Å].
        d_min: Shape (shells,) [Å].
    """

    shell: np.ndarray
    d_max: np.ndarray
    d_min: np.ndarray

    def __len__(self) -> int:
        return len(self.d_max)


def resolution_shells(d_spacing: np.ndarray, n_shells: int) -> Shells:
    """
    Divide reflections into shells of nearly equal numbers.

    Reflections with one d-spacing stay together, so that the division depends neither
    on their order nor on the indices.

    Args:
        d_spacing: Shape (n,) [Å], positive.
        n_shells: Shells wanted; fewer where there are not that many d-spacings.

    Returns:
        The shells; none of them is empty.
    """
    if not len(d_spacing):
        return Shells(np.empty(0, int), np.empty(0), np.empty(0))
    value, number, count = np.unique(
        np.round(1 / np.asarray(d_spacing) ** 2, 9),
        return_inverse=True,
        return_counts=True,
    )
    middle = np.cumsum(count) - 0.5 * count
    wanted = (middle * n_shells / len(d_spacing)).astype(int)
    _, shell_of_value = np.unique(wanted, return_inverse=True)
    last = np.flatnonzero(np.diff(shell_of_value, append=shell_of_value[-1] + 1))
    first = np.concatenate([[0], last[:-1] + 1])
    with np.errstate(divide="ignore"):
        d = 1 / np.sqrt(value)
    return Shells(shell_of_value.ravel()[np.ravel(number)], d[first], d[last])


def shuffled_within(
    values: np.ndarray, shell: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """
    Shuffle values among the members of each shell.

    What is left of an agreement after that is due to the resolution alone.

    Args:
        values: Shape (n,).
        shell: Shape (n,).
        rng: Source of random numbers.

    Returns:
        Shape (n,).
    """
    order = np.argsort(shell, kind="stable")
    drawn = np.lexsort((rng.random(len(shell)), shell))
    result = np.empty_like(values)
    result[order] = values[drawn]
    return result
