"""Equivalents that hardly agree are told, whoever is to blame."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.disagreement import BEGINNING


def exchanged(table, rng, n_shells=20):
    """Intensities, with their errors, at other reflections of like resolution."""
    new, order = table.copy(), np.arange(len(table))
    for own in np.array_split(np.argsort(table["d"].as_numpy_array()), n_shells):
        order[own] = rng.permutation(own)
    for name in ("intensity.prf", "intensity.sum"):
        for column in (f"{name}.value", f"{name}.variance"):
            if column in new:
                new[column] = flex.double(new[column].as_numpy_array()[order])
    return new


@pytest.mark.parametrize("name", ["quartz", "glycine", "natrolite"])
def test_exchanged_intensities_are_told_and_measured_ones_are_not(read_measured, name):
    experiments, tables = read_measured(f"{name}/integrated")
    for seed in (None, 1, 2):
        if seed is not None:
            rng = np.random.default_rng(seed)
            own = [exchanged(table, rng) for table in tables]
        else:
            own = tables
        warnings = get_subject(experiments, own, nproc=1).warnings
        assert any(w.startswith(BEGINNING) for w in warnings) is (seed is not None)


def test_two_compounds_of_one_cell_are_told(read_measured):
    """Each agrees with itself: the second has the intensities of other reflections."""
    experiments, tables = read_measured("quartz/integrated")
    other, rng = tables[0].copy(), np.random.default_rng(4)
    hkl = [tuple(abs(x) for x in h) for h in other["miller_index"]]
    kinds = {h: rng.permutation(1000)[0] / 500 for h in sorted(set(hkl))}
    factor = flex.double([0.05 + kinds[h] ** 2 for h in hkl])
    for name in ("intensity.prf", "intensity.sum"):
        if f"{name}.value" in other:
            level = flex.mean(other[f"{name}.value"])
            other[f"{name}.value"] = factor * level
            other[f"{name}.variance"] = (0.05 * factor * level) ** 2
    other["id"] = flex.int(len(other), 1)
    warnings = get_subject([experiments[0]] * 2, [tables[0], other], nproc=1).warnings
    (told,) = [w for w in warnings if w.startswith(BEGINNING)]
    assert "of one crystal and" in told
