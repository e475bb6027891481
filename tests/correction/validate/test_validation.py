"""What can be learnt from memory is told apart from what holds elsewhere."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from dials_spread.correction.validate.learning import new_regressor
from dials_spread.correction.validate.validation import validate


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    """Fewer trees than by default: what is tested does not hang on them."""
    module = "dials_spread.correction.validate.validation"
    monkeypatch.setattr(f"{module}.CONTROL_TREES", 5)
    quick = partial(new_regressor, max_iter=50, min_samples_leaf=5, learning_rate=0.2)
    monkeypatch.setattr(f"{module}.new_regressor", lambda s, **k: quick(s, **k))


def with_errors(data, error: np.ndarray, table: np.ndarray):
    """The same data with known deviations, and a table of one's own."""
    E = np.maximum(data.target[data.unique] + error, 0.01)
    I = (E * data.root_N[data.unique]) ** 2
    columns = tuple(f"column_{k}" for k in range(table.shape[1]))
    return replace(data, E_i=E, intensity=I, table=table, columns=columns)


def part_left(validation, split: str) -> float:
    """R1 by the model over that without correction."""
    return validation.score(split).r1 / validation.score(split, "none").r1


@pytest.mark.slow
def test_what_names_the_reflection_helps_by_crystal_alone(two_compounds):
    data, rng = two_compounds, np.random.default_rng(0)
    of_reflection = rng.normal(0, 0.2, data.n_unique)
    # Trees see no more than 255 different values of a column.
    name = np.stack(divmod(rng.permutation(data.n_unique), 30), axis=1)
    spoiled = with_errors(data, of_reflection[data.unique], name[data.unique])
    # Crystals that have all reflections in common, as many of one compound do.
    many = np.tile(np.arange(len(spoiled.table)), 3)
    every = {
        key: getattr(spoiled, key)[many]
        for key in ("table", "E_i", "intensity", "sigma", "unique", "compound")
    }
    crystal = np.repeat(np.arange(3), len(spoiled.table)) + 3 * every["compound"]
    found = validate(replace(spoiled, crystal=crystal, **every), rng)
    assert part_left(found, "crystal") < 0.85
    for split in ("reflection", "compound"):
        assert part_left(found, split) > 0.95
        assert not found.improves(split)


@pytest.mark.slow
def test_what_names_the_compound_does_not_help_by_compound(two_compounds):
    data, rng = two_compounds, np.random.default_rng(1)
    x = rng.normal(size=len(data.table))
    sign = np.where(data.compound == 0, 1, -1)
    table = np.column_stack([x, data.compound])
    found = validate(with_errors(data, 0.2 * sign * (x > 0), table), rng)
    assert part_left(found, "reflection") < 0.5 and found.improves("reflection")
    assert part_left(found, "compound") > 1 and not found.improves("compound")


@pytest.mark.slow
def test_what_holds_everywhere_helps_in_all_splits(two_compounds):
    data, rng = two_compounds, np.random.default_rng(2)
    x = rng.normal(size=len(data.table))
    spoiled = with_errors(data, 0.3 * (x > 0), x[:, None])
    found = validate(spoiled, rng)
    for split in ("crystal", "reflection", "compound"):
        assert part_left(found, split) < 0.5
    assert found.improves("reflection") and found.improves("compound")
    assert found.folds == {"crystal": 3, "reflection": 3, "compound": 2}
    # The errors that are left are as large as predicted of them.
    assert found.coverage["reflection"].within_one == pytest.approx(0.68, abs=0.08)
    told = found.as_dict()
    assert told["improves_unseen_compounds"] is True
    assert told["predicted_errors"]["compound"]["n"] > 100


@pytest.mark.slow
def test_crystals_are_numbered_through_all_compounds(two_compounds):
    data, rng = two_compounds, np.random.default_rng(3)
    # The last crystals are of the second compound, none of which is trained on.
    found = validate(data, rng, "0:3", "3:5")
    (one,) = found.score("crystal").compounds
    assert one.compound == data.compounds[1].name
    np.testing.assert_array_equal(found.seen, [True] * 3 + [False] * 2)
    with pytest.raises(ValueError, match="they are 0:5"):
        validate(data, rng, "0:3", "3:6")
