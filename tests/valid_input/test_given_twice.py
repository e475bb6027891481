"""A crystal that is given twice is found, whatever it is called; others are not."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import sgtbx
from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.valid_input.given_twice import (
    crystals_given_twice,
    refuse_given_twice,
)


def part(table, rows):
    return table.select(cctbx_flex.size_t(np.asarray(rows, dtype=np.uint64)))


def test_different_crystals_are_not_the_same(simulated):
    assert crystals_given_twice(simulated[1]) == []
    refuse_given_twice(simulated[1], ["a", "b", "c"])


def test_a_copy_is_found_in_any_order_and_indexing(simulated):
    tables = simulated[1]
    order = np.random.default_rng(0).permutation(len(tables[1]))
    copy = part(tables[1], order)
    turned = sgtbx.change_of_basis_op("-h,-k,l")
    copy["miller_index"] = turned.apply(copy["miller_index"])
    ((second, first, n),) = crystals_given_twice([*tables, copy])
    assert (second, first) == (3, 1)
    assert n > 0.9 * len(copy)


def test_most_of_a_crystal_is_found_and_a_little_is_not(simulated):
    tables = simulated[1]
    n = len(tables[0])
    most = part(tables[0], np.arange(int(0.7 * n)))
    assert [x[:2] for x in crystals_given_twice([*tables, most])] == [(3, 0)]
    mixed = part(tables[0], np.arange(int(0.2 * n)))
    mixed.extend(part(tables[1], np.arange(n // 4)))
    mixed.extend(part(tables[2], np.arange(n // 4)))
    mixed["intensity.sum.value"][0] = 3.0
    found = crystals_given_twice([tables[0], mixed])
    assert found == []


def test_measured_again_it_is_another(simulated):
    """The same positions with other noise."""
    table = simulated[1][0]
    again = table.select(flex.bool(len(table), True))
    for kind in ("prf", "sum"):
        name = f"intensity.{kind}.value"
        again[name] = again[name] * 1.0001
    assert crystals_given_twice([table, again]) == []


def test_the_sentence(simulated):
    table = simulated[1][0]
    with pytest.raises(ValueError) as error:
        refuse_given_twice([table, table, table], ["a.expt", "b.expt", "c.expt"])
    first, second = str(error.value).splitlines()
    assert first.startswith("Crystal 1 (b.expt) is crystal 0 (a.expt) again: ")
    assert second.startswith("Crystal 2 (c.expt) is crystal 0 (a.expt) again: ")
    assert first.endswith("give it once")


def test_empty_tables_and_none_at_all(simulated):
    table = simulated[1][0]
    assert crystals_given_twice([]) == []
    assert crystals_given_twice([part(table, []), part(table, [])]) == []
