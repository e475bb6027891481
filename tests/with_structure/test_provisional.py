"""A structure in another space group than the data, whose axes may be others too."""

from __future__ import annotations

import pytest

from cctbx import crystal, sgtbx, xray

from dials_spread.reindexing import reindexing_choices
from dials_spread.structures.structure_files import read_structure
from dials_spread.with_structure.provisional import group_warnings


def told(structure: xray.structure, data: str, axes: str = "x,y,z") -> list[str]:
    """Of data in a space group on the axes of the structure, or on others."""
    here = crystal.symmetry(structure.unit_cell(), space_group_symbol=data)
    there = structure.change_basis(axes)
    choice = reindexing_choices(here, there.crystal_symmetry())[0]
    assert choice.symmetric
    return group_warnings(there, "my.cif", choice, here.space_group())


@pytest.mark.parametrize("axes", ["x,y,z", "z,y,-x", "x,y,z+x"])
def test_the_space_group_of_the_structure_is_told_in_the_setting_of_the_data(axes):
    structure = read_structure("glycine")
    assert told(structure, "P 1 21/n 1", axes) == []
    for data in ("P 1 2 1", "P 1 21 1", "P 1 21/c 1", "P 1"):
        (text,) = told(structure, data, axes)
        assert f"my.cif is in P 1 21/n 1, the data are in {data}." in text
        assert 'dials.reindex with space_group="P 1 21/n 1"' in text


def test_the_other_hand_is_no_other_space_group():
    """Which of the pair it is, is told with the absolute structure."""
    structure = read_structure("quartz")
    assert str(structure.space_group_info()) in ("P 31 2 1", "P 32 2 1")
    for data in ("P 31 2 1", "P 32 2 1"):
        assert told(structure, data) == []
    (text,) = told(structure, "P 3 2 1")
    assert "the data are in P 3 2 1" in text


def test_the_origin_does_not_matter():
    structure = read_structure("paracetamol")
    shifted = structure.change_basis("x+1/4,y+1/4,z")
    here = crystal.symmetry(structure.unit_cell(), space_group=structure.space_group())
    choice = reindexing_choices(here, shifted.crystal_symmetry())[0]
    assert group_warnings(shifted, "my.cif", choice, here.space_group()) == []
    assert sgtbx.space_group_info(group=here.space_group()).type().number() == 61
