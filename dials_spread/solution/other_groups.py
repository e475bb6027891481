"""
Which space group the maps of charge flipping obey, where they do not obey that of the data.

Indexing, dials.cosym and dials.scale go by Laue symmetry: without screw axes and glide planes
a structure cannot be told from phases that are wrong.

Functions:
    other_space_groups: of the same Laue group, which some map obeys
"""

from __future__ import annotations

import numpy as np

from cctbx import sgtbx

from dials_spread.solution.shifts import Equivalents, fit_symmetry
from dials_spread.solution.solve import SETTLED, Solutions, chance_level
from dials_spread.symmetry import same_group

MAPS = 10
"""So many maps are looked at, those with the highest skewness."""

NEAR = 0.15
"""Of groups that agree as well but for this, that with most operators is likeliest: subgroups
of the right one agree, too, and better, as fewer pairs of reflections count (P n 0.84, P 2₁ 0.81
and P 2₁/n 0.78 for measured carbamazepine in P 2₁/n)."""


def other_space_groups(
    solutions: Solutions, seed: int = 0
) -> list[tuple[sgtbx.space_group, float]]:
    """
    Find space groups that a map obeys, with its agreement.

    Args:
        solutions: Of random starts, of which none obeys the space group of the data.
        seed: Of random phases, for what chance reaches.

    Returns:
        Groups of the same Laue group and centring, on the same axes, and the best agreement
        (see `fit_symmetry`) of any map, the likeliest first: as many as have the most
        operators, both of an enantiomorphic pair. None where none is above chance, or
        clearly above the group of the data. Groups that differ by their origin stand once.
    """
    amplitudes = solutions.amplitudes
    ranked = sorted(solutions.starts, key=lambda one: -np.nan_to_num(one.skewness))
    maps = [one.F for one in ranked[:MAPS]]
    found = []
    for group in _candidates(amplitudes.space_group):
        equivalents = Equivalents(amplitudes.miller_index, group)
        fits = [fit_symmetry(equivalents, F).agreement for F in maps]
        best = float(np.nanmax([*fits, 0.0]))
        if best > SETTLED and best > chance_level(amplitudes, equivalents, seed):
            found.append((group, best))
    own = max((np.nan_to_num(one.agreement) for one in solutions.starts), default=0.0)
    top = max((best for _, best in found), default=0.0)
    likely = [one for one in found if one[1] > max(top, own + 2 * NEAR) - NEAR]
    most = max((group.order_z() for group, _ in likely), default=0)
    likely = [one for one in likely if one[0].order_z() == most]
    return sorted(likely, key=lambda one: -one[1])


def _candidates(own: sgtbx.space_group) -> list[sgtbx.space_group]:
    """Groups with the Laue group and the centring of this one, on its axes."""
    laue = own.build_derived_laue_group()
    centring = own.conventional_centring_type_symbol()
    found: list[sgtbx.space_group] = [own]
    for symbols in sgtbx.space_group_symbol_iterator():
        group = sgtbx.space_group(symbols)
        if (
            group.conventional_centring_type_symbol() == centring
            and group.build_derived_laue_group() == laue
            and not any(same_group(group, other) for other in found)
        ):
            found.append(group)
    return found[1:]
