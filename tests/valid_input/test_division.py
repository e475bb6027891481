"""A table divided by experiments, against flex's own selection."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex

from dials_spread.valid_input.division import divided


@pytest.mark.parametrize("ids", [[0, 0, 2, 2, 2, 5], [2, 0, 5, 0, 2, -1], [7, 7]])
def test_parts_are_what_flex_selects(ids):
    table = flex.reflection_table()
    table["id"] = flex.int(ids)
    table["s1"] = flex.vec3_double(np.random.default_rng(0).normal(size=(len(ids), 3)))
    table.experiment_identifiers()[0] = "first"
    table.experiment_identifiers()[2] = "second"
    whole = table.copy()
    parts = divided(table, [0, 2, 9], emptied=True)
    assert [*table.keys()] == ["id"]
    assert {*parts} == {0, 2} & {*ids}
    for number, part in parts.items():
        expected = whole.select(whole["id"] == number)
        assert list(part["s1"]) == list(expected["s1"])
        assert list(part["id"]) == list(expected["id"])
        names = dict(expected.experiment_identifiers())
        assert dict(part.experiment_identifiers()) == names
