"""
Extinctions that the space group does not have: reflections near zero on axes and planes.

Multiple scattering fills reflections that a screw axis or a glide plane extinguishes, so
that some intensity is left; what tells is that they are much weaker than their neighbours.
Rules after International Tables A (2016), tables 2.1.3.6 and 2.1.3.7.

Functions:
    missing_elements: sentences that name them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Callable

import numpy as np
from scipy.stats import mannwhitneyu

from cctbx import sgtbx

from dials_spread.reindexing import laue_matrices

NEAR_ZERO = 0.1
"""Mean intensity of what would be extinct, relative to the rest of its class."""

CHANCE = 0.01
"""Largest probability that the ranks of both are so different by chance."""

ZONES = ("0kl", "h0l", "hk0", "hhl", "h-hl")

FEWEST = 3
"""Reflections of each of both."""


@dataclass(frozen=True)
class Rule:
    """
    One rule of extinction.

    Attributes:
        name: Of the reflections: "0k0".
        rule: Which of them would be extinct: "k odd".
        element: "a 2₁ axis along b".
        rotation: Shape (3,), the direction whose rotation of this order the Laue group
            must have.
        order: Of that rotation.
        in_class: Of indices of shape (n, 3), whether they belong.
        part: Likewise, 0 for those that stay; of those that would be extinct a number
            above 0, by which weaker rules of the same class would tell them apart.
    """

    name: str
    rule: str
    element: str
    rotation: tuple[int, int, int]
    order: int
    in_class: Callable[[np.ndarray], np.ndarray]
    part: Callable[[np.ndarray], np.ndarray]


AXES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def _without(k: int, h: np.ndarray) -> np.ndarray:
    """Indices of which one is nought."""
    return h[:, k] == 0


def _odd_sum(which: Sequence[int], h: np.ndarray) -> np.ndarray:
    return h[:, list(which)].sum(axis=1) % 2


def _on_diagonal(sign: int, h: np.ndarray) -> np.ndarray:
    return h[:, 0] == sign * h[:, 1]


def _on_axis(k: int, h: np.ndarray) -> np.ndarray:
    others = [n for n in range(3) if n != k]
    return (h[:, others] == 0).all(axis=1)


def _steps_off(k: int, step: int, h: np.ndarray) -> np.ndarray:
    """How far an index is from the next multiple."""
    return np.minimum(h[:, k] % step, -h[:, k] % step)


def _planes() -> list[Rule]:
    """Glide planes perpendicular to the axes, and diagonal ones with c / 2."""
    rules = []
    for k, zone in enumerate(("0kl", "h0l", "hk0")):
        first, second = (n for n in range(3) if n != k)
        axis = AXES[k]
        glides: list[tuple[str, str, Sequence[int]]] = [
            ("abc"[n], f"{'hkl'[n]} odd", (n,)) for n in (first, second)
        ]
        glides.append(("n", f"{'hkl'[first]} + {'hkl'[second]} odd", (first, second)))
        for letter, told, sums in glides:
            rules.append(
                Rule(
                    zone, told,
                    f"{_article(letter)} {letter} glide plane perpendicular to {'abc'[k]}",
                    axis, 2,
                    partial(_without, k), partial(_odd_sum, sums),
                )
            )  # fmt: skip
    for zone, axis, sign in (("hhl", (1, -1, 0), 1), ("h-hl", (1, 1, 0), -1)):
        rules.append(
            Rule(
                zone, "l odd", f"a c glide plane perpendicular to [{_told(axis)}]", axis, 2,
                partial(_on_diagonal, sign), partial(_odd_sum, (2,)),
            )
        )  # fmt: skip
    return rules


def _axes() -> list[Rule]:
    """Screw axes along the axes, the most demanding of each direction first."""
    kinds = [
        (6, 6, "6₁ or 6₅"), (4, 4, "4₁ or 4₃"), (6, 3, "6₂ or 6₄"), (3, 3, "3₁ or 3₂"),
        (6, 2, "6₃"), (4, 2, "4₂"), (2, 2, "2₁"),
    ]  # fmt: skip
    rules = []
    for k, row in enumerate(("h00", "0k0", "00l")):
        for order, step, symbol in kinds:
            letter = "hkl"[k]
            rules.append(
                Rule(
                    row, f"{letter} odd" if step == 2 else f"{letter} ≠ {step}n",
                    f"a {symbol} axis along {'abc'[k]}",
                    AXES[k], order, partial(_on_axis, k), partial(_steps_off, k, step),
                )
            )  # fmt: skip
    return rules


def _article(letter: str) -> str:
    return "an" if letter in "an" else "a"


def _told(axis: Sequence[int]) -> str:
    return "".join(str(n) if n >= 0 else f"-{-n}" for n in axis)


def _rotations(space_group: sgtbx.space_group) -> dict[tuple[int, int, int], int]:
    """The largest order of the proper rotations about each direction."""
    found: dict[tuple[int, int, int], int] = {}
    for op in space_group.build_derived_laue_group().all_ops():
        info = op.r().info()
        if info.type() > 1:
            axis = tuple(info.ev())
            for direction in (axis, tuple(-n for n in axis)):
                found[direction] = max(found.get(direction, 1), info.type())
    return found


def missing_elements(
    miller_index: np.ndarray,
    intensity: np.ndarray,
    space_group: sgtbx.space_group,
) -> list[str]:
    """
    Name reflections near zero that a screw axis or glide plane would extinguish.

    Args:
        miller_index: Shape (u, 3), unique reflections.
        intensity: Shape (u,), merged; best relative to the mean at that resolution.
        space_group: As given. What it extinguishes itself is not looked at.

    Returns:
        One sentence for each element that it lacks. Classes whose extinct reflections
        were all named with a plane are not named again with an axis.
    """
    known = np.isfinite(intensity)
    known &= np.array(
        [not space_group.is_sys_absent(tuple(int(x) for x in h)) for h in miller_index],
        dtype=bool,
    )
    hkl, I = np.asarray(miller_index)[known], np.asarray(intensity)[known]
    equivalents = np.rint(hkl @ laue_matrices(space_group).transpose(0, 2, 1)).astype(
        int
    )
    rotations, named, told = _rotations(space_group), np.zeros(len(I), dtype=bool), []
    taken: set[str] = set()
    for rule in (*_planes(), *_axes()):
        orders = rotations.get(rule.rotation, 1)
        # A plane needs a mirror of the Laue group: a rotation by 180° about its normal.
        fits = orders == rule.order or (rule.name in ZONES and orders % 2 == 0)
        if rule.name in taken or not fits:
            continue
        part, rest = _divided(rule, equivalents)
        part[named] = 0
        extinct = part > 0
        if _near_zero(I[extinct], part[extinct], I[rest]):
            told.append(_sentence(rule, I[extinct], I[rest], space_group))
            named |= extinct
            taken.add(rule.name)
    return told


def _divided(rule: Rule, equivalents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of each reflection, 0 outside the class too, and which ones stay."""
    inside = np.array([rule.in_class(h) for h in equivalents])
    part = np.array([rule.part(h) for h in equivalents])
    part = np.where(inside, part, 0).max(axis=0)
    return part, inside.any(axis=0) & (part == 0)


def _near_zero(extinct: np.ndarray, part: np.ndarray, rest: np.ndarray) -> bool:
    """Say whether the first are near zero, each part of them, and the others are not."""
    if min(len(extinct), len(rest)) < FEWEST or not rest.mean() > 0:
        return False
    for some in (extinct, *(extinct[part == n] for n in np.unique(part))):
        if some.mean() > NEAR_ZERO * rest.mean():
            return False
    return bool(mannwhitneyu(extinct, rest, alternative="less").pvalue < CHANCE)


def _sentence(
    rule: Rule, extinct: np.ndarray, rest: np.ndarray, space_group: sgtbx.space_group
) -> str:
    ratio = max(extinct.mean() / rest.mean(), 0)
    return (
        f"Reflections {rule.name} with {rule.rule} are near zero ({len(extinct)} of them, "
        f"mean intensity {ratio:.1%} of that of the other {len(rest)} {rule.name}): is "
        f"there {rule.element}, which {space_group.info()} lacks?"
    )
