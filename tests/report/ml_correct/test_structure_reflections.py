"""Columns and table of the reflections of a second correction, from numbers made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from dials_spread.report.ml_correct.structure_reflections import (
    STRONGEST,
    reflection_columns,
    undetermined_table,
)

HKL = np.array([[1, 0, 0], [0, 2, -1], [3, 0, 0]])
D = np.array([4.0, 2.0, 1.5])


def correction(n_steps=1, undetermined=(True, False, True)):
    return SimpleNamespace(
        n_steps=n_steps,
        first=SimpleNamespace(F=np.array([1.0, 2, 3]), sigma_F=np.ones(3)),
        estimate=SimpleNamespace(F=np.array([1.5, 2, 5]), sigma_F=np.full(3, 0.5)),
        step=SimpleNamespace(
            information=np.array([0.1, 0.9, 0.3]),
            undetermined=np.array(undetermined),
        ),
        unique=np.array([0, 0, 1, 1, 0]),
        response=np.array([0.2, -0.6, np.nan, 1.0, 0.5]),
    )


def test_columns():
    columns = reflection_columns(correction(), HKL, D)
    np.testing.assert_array_equal(columns["l"], [0, -1, 0])
    np.testing.assert_allclose(columns["share_of_first_estimate"], [0.9, 0.1, 0.7])
    np.testing.assert_array_equal(columns["observations"], [3, 2, 0])
    # Of three the one that depends most on |F|; of none nothing is known.
    np.testing.assert_array_equal(columns["response"], [-0.6, 1.0, np.nan])
    assert reflection_columns(correction(n_steps=0), HKL, D) is None


def test_table_has_the_strongest_first():
    table = undetermined_table(correction(), HKL, D)
    assert [row[0] for row in table.rows] == ["3 0 0", "1 0 0"]
    assert table.rows[1] == ["1 0 0", "4.00", "1", "1.50", "0.50", "0.90", "3", "−0.60"]
    assert table.rows[0][-2:] == ["0", "–"] and "strongest" not in table.title
    assert undetermined_table(correction(undetermined=[False] * 3), HKL, D) is None
    assert undetermined_table(correction(n_steps=0), HKL, D) is None


def test_a_long_table_is_cut():
    n = STRONGEST + 5
    found = SimpleNamespace(
        n_steps=1,
        first=SimpleNamespace(F=np.arange(n) + 1.0, sigma_F=np.ones(n)),
        estimate=SimpleNamespace(F=np.arange(n) + 1.0, sigma_F=np.ones(n)),
        step=SimpleNamespace(information=np.zeros(n), undetermined=np.ones(n, bool)),
        unique=np.arange(n),
        response=np.ones(n),
    )
    table = undetermined_table(found, np.arange(3 * n).reshape(n, 3), np.ones(n))
    assert len(table.rows) == STRONGEST
    assert table.title.endswith(f"the {STRONGEST} strongest of {n}")
