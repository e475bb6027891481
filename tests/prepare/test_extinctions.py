"""Extinctions of space groups, given as groups without them; rules of ITA by cctbx."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, sgtbx

from dials_spread.prepare.extinctions import missing_elements

CELLS = {
    "monoclinic": (9, 10, 11, 90, 100, 90),
    "orthorhombic": (14, 15, 16, 90, 90, 90),
    "tetragonal": (9, 9, 14, 90, 90, 90),
    "hexagonal": (8, 8, 17, 90, 90, 120),
    "cubic": (12, 12, 12, 90, 90, 90),
}


def intensities(true: str, given: str, system: str, left: float = 0.0, seed: int = 3):
    """Exponential intensities; those that the true group extinguishes are multiplied."""
    group = sgtbx.space_group_info(given).group()
    symmetry = crystal.symmetry(CELLS[system], space_group=group)
    hkl = np.array(list(symmetry.build_miller_set(False, d_min=0.8).indices()))
    rng = np.random.default_rng(seed)
    I = rng.exponential(size=len(hkl))
    truth = sgtbx.space_group_info(true).group()
    absent = np.array([truth.is_sys_absent(tuple(int(x) for x in h)) for h in hkl])
    return hkl, np.where(absent, left * I, I), group


@pytest.mark.parametrize("left", [0.0, 0.03])
@pytest.mark.parametrize(
    "true, given, system, expected",
    [
        ("P 1 21 1", "P 1 2 1", "monoclinic", ["0k0|2₁ axis along b"]),
        ("P 1 c 1", "P 1 m 1", "monoclinic", ["h0l|c glide plane perpendicular to b"]),
        ("P 1 n 1", "P 1 m 1", "monoclinic", ["h0l|n glide plane perpendicular to b"]),
        (
            "P 1 21/c 1", "P 1 2/m 1", "monoclinic",
            ["h0l|c glide plane perpendicular to b", "0k0|2₁ axis along b"],
        ),
        (
            "P 21 21 21", "P 2 2 2", "orthorhombic",
            [f"{row}|2₁ axis along {x}" for row, x in zip(("h00", "0k0", "00l"), "abc")],
        ),
        (
            "P b c a", "P m m m", "orthorhombic",
            [
                "0kl|b glide plane perpendicular to a",
                "h0l|c glide plane perpendicular to b",
                "hk0|a glide plane perpendicular to c",
            ],
        ),
        ("P 41", "P 4", "tetragonal", ["00l|4₁ or 4₃ axis along c"]),
        ("P 42", "P 4", "tetragonal", ["00l|4₂ axis along c"]),
        ("P 31", "P 3", "hexagonal", ["00l|3₁ or 3₂ axis along c"]),
        ("P 61", "P 6", "hexagonal", ["00l|6₁ or 6₅ axis along c"]),
        ("P 63", "P 6", "hexagonal", ["00l|6₃ axis along c"]),
        ("P 4 c c", "P 4 m m", "tetragonal", ["0kl|c glide", "hhl|c glide"]),
        ("P 42 m c", "P 4 m m", "tetragonal", ["hhl|c glide plane perpendicular to [1-10]"]),
    ],
)  # fmt: skip
def test_elements_are_named(true, given, system, expected, left):
    told = missing_elements(*intensities(true, given, system, left))
    kept = [t for t in told if not t.startswith("Reflections h-hl")]
    assert len(kept) == len(expected)
    for sentence, parts in zip(kept, expected):
        name, element = parts.split("|")
        assert sentence.startswith(f"Reflections {name} with ") and element in sentence


@pytest.mark.parametrize(
    "group, system",
    [
        ("P 1 21/c 1", "monoclinic"),
        ("P 1 2 1", "monoclinic"),
        ("C 1 2/c 1", "monoclinic"),
        ("P 21 21 21", "orthorhombic"),
        ("F d d 2", "orthorhombic"),
        ("P 43 21 2", "tetragonal"),
        ("I 41/a m d :2", "tetragonal"),
        ("P 32 2 1", "hexagonal"),
        ("R 3 c :H", "hexagonal"),
        ("F d -3 m :2", "cubic"),
    ],
)
def test_complete_groups_lack_nothing(group, system):
    assert not missing_elements(*intensities(group, group, system))


def test_chance_seldom_makes_an_element():
    """One in a hundred of each rule: of 60 data sets in P2/m few."""
    told = [
        missing_elements(*intensities("P 1 2/m 1", "P 1 2/m 1", "monoclinic", seed=s))
        for s in range(60)
    ]
    assert sum(map(bool, told)) <= 2


def test_too_few_reflections_tell_nothing():
    hkl, I, group = intensities("P 1 21 1", "P 1 2 1", "monoclinic")
    few = (hkl[:, [0, 2]] != 0).any(axis=1) | (np.abs(hkl[:, 1]) < 5)
    assert not missing_elements(hkl[few], I[few], group)
