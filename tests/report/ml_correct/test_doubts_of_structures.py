"""What is said of structures and thicknesses that are to be doubted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dials_spread.report.ml_correct.doubts_of_structures import (
    doubtful_structure,
    ends_of_range,
)
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure.crystal_shapes import SEARCH, CrystalShape, _at_end

ONE = CrystalShape(Shape(500.0), 20.0, 300, 0.2, 0.3)


@pytest.mark.parametrize(("r1", "told"), [(0.25, 0), (0.399, 0), (0.4, 1), (0.61, 1)])
def test_a_structure_is_doubted_by_r1(r1, told):
    sentences = doubtful_structure("my.cif", r1)
    assert len(sentences) == told
    assert all(s.startswith("my.cif is incomplete or wrong") for s in sentences)


@pytest.mark.parametrize(
    ("shape", "longest", "end"),
    [
        (Shape(SEARCH.most), SEARCH.most, "upper"),
        (Shape(1600.0, within=0.9), 3040.0, "upper"),
        (Shape(2000.0), 2000.0, ""),
        (Shape(500.0), 500.0, ""),
        (Shape(SEARCH.least), SEARCH.least, "lower"),
        (Shape(40.0), 40.0, ""),
    ],
)
def test_ends_of_the_range(shape, longest, end):
    assert _at_end(shape, longest) == end


def test_crystals_at_the_ends_are_named():
    upper, lower = replace(ONE, at_end="upper"), replace(ONE, at_end="lower")
    assert ends_of_range([ONE, ONE]) == []
    first, second = ends_of_range([ONE, upper, lower, upper])
    assert "upper end of the range that was searched (3,000 Å): crystals 1, 3." in first
    assert "lower end of the range that was searched (20 Å): crystal 2." in second
    (many,) = ends_of_range([upper] * 8)
    assert ": 8 of 8 crystals." in many
    assert upper.as_dict()["at_end_of_range"] == "upper"
    assert ONE.as_dict()["at_end_of_range"] is None
