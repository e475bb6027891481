"""Corrected crystals among others, through the programs of DIALS and back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.corrected_files import join, write_corrected
from dials_spread.correction.apply.one_table import (
    apply_factors,
    undo_factors,
    without_correction,
)
from dials_spread.correction.apply.tables import restored_table, uncorrected_part
from dials_spread.input_files import read_files
from dials_spread.observations.correction_state import (
    FACTOR,
    corrected_crystals,
    correction_columns,
    correction_state,
    row_states,
)

pytestmark = pytest.mark.slow

SCALE = (
    # KB is not for one data set in later releases.
    *("model=physical", "physical.decay_correction=False", "error_model=None"),
    "physical.absorption_correction=False",
    *("full_matrix=False", "output.html=None"),
)
NAMES = ("corrected", "copy")


def dials(folder: Path, command: str, *arguments: str) -> None:
    done = subprocess.run(
        [f"dials.{command}", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def files(name: str) -> list[str]:
    return [f"{name}.expt", f"{name}.refl"]


def output(name: str) -> list[str]:
    return [f"output.experiments={name}.expt", f"output.reflections={name}.refl"]


def read(folder: Path, name: str) -> flex.reflection_table:
    return flex.reflection_table.from_file(str(folder / f"{name}.refl"))


def write_as(folder: Path, name: str, stem: str, change=lambda table: table) -> None:
    """Write measured data under another identifier."""
    experiments = ExperimentListFactory.from_json_file(
        f"{stem}.expt", check_format=False
    )
    table = flex.reflection_table.from_file(f"{stem}.refl")
    table = change(table.select(table["id"] == 0))
    identifiers = table.experiment_identifiers()
    for key in [*identifiers.keys()]:
        del identifiers[key]
    identifiers[0] = experiments[0].identifier = name
    write_corrected(experiments[:1], table, *[str(folder / f) for f in files(name)])


def corrected(table: flex.reflection_table, scaled: bool = False):
    rng = np.random.default_rng(len(table))
    n = len(table)
    offset = rng.normal(size=n) * 30 * (rng.random(n) < 0.1)
    return apply_factors(table, np.exp(0.3 * rng.normal(size=n)), scaled, None, offset)


@pytest.fixture(scope="module")
def folder(data_folder, tmp_path_factory):
    """Quartz corrected, as it was, and a copy, each joined with the copy."""
    made = tmp_path_factory.mktemp("joined")
    stem = str(data_folder / "quartz" / "integrated")
    write_as(made, "copy", stem)
    for name in ("with", "without"):
        own = made / name
        own.mkdir()
        write_as(own, "corrected", stem, corrected if name == "with" else lambda t: t)
        dials(
            *(own, "combine_experiments", *files("corrected"), *files("../copy")),
            *output("combined"),
        )
    return made


def both(folder: Path, command: str, *arguments: str) -> None:
    for name in ("with", "without"):
        dials(folder / name, command, *arguments)


def test_joined(folder):
    table = read(folder / "with", "combined")
    assert not row_states(table).all() and correction_state(table) == "corrected"
    assert {*table.select(row_states_of(table, 1))["id"]} == {0}
    restored = undo_factors(table)
    assert restored.as_msgpack() == read(folder / "without", "combined").as_msgpack()


def places(table: flex.reflection_table, among: flex.reflection_table) -> flex.size_t:
    """Find the rows of a table in another one, by where they were observed."""
    keys = [[*zip(t["id"], [*t["xyzobs.px.value"]])] for t in (table, among)]
    found = {key: n for n, key in enumerate(keys[1])}
    return flex.size_t([found[key] for key in keys[0]])


def row_states_of(table, state) -> flex.bool:
    return flex.bool(row_states(table) == state)


def test_joined_in_the_other_order(folder):
    for name in ("with", "without"):
        dials(
            *(folder / name, "combine_experiments", *files("../copy")),
            *(*files("corrected"), *output("turned")),
        )
    restored = undo_factors(read(folder / "with", "turned"))
    assert restored.as_msgpack() == read(folder / "without", "turned").as_msgpack()


def test_split(folder):
    both(folder, "split_experiments", *files("combined"))
    first, second = (read(folder / "with", f"split_{k}") for k in range(2))
    plain = [read(folder / "without", f"split_{k}") for k in range(2)]
    assert undo_factors(first).as_msgpack() == plain[0].as_msgpack()
    # The copy has columns that say nothing. It can be corrected, as if it had not.
    assert FACTOR in second and correction_state(second) == "none"
    again = corrected(second)
    assert again.as_msgpack() == corrected(plain[1]).as_msgpack()
    assert undo_factors(again).as_msgpack() == plain[1].as_msgpack()


def test_reindexed(folder):
    both(
        *(folder, "reindex", *files("combined"), "change_of_basis_op=-h,-k,l"),
        *output("reindexed"),
    )
    restored = undo_factors(read(folder / "with", "reindexed"))
    assert restored.as_msgpack() == read(folder / "without", "reindexed").as_msgpack()


def test_filtered(folder):
    named = "output.reflections=filtered.refl"
    both(folder, "filter_reflections", *files("combined"), "d_min=1.0", named)
    table = read(folder / "with", "filtered")
    assert 0 < len(table) < len(read(folder / "with", "combined"))
    expected = read(folder / "without", "filtered")
    assert undo_factors(table).as_msgpack() == expected.as_msgpack()


@pytest.mark.parametrize(
    "key", ["miller_index", "intensity.sum.value", "ml_correction", "flags"]
)
def test_sorted(folder, key):
    named = f"output={key}.refl"
    dials(folder / "with", "sort_reflections", "combined.refl", f"key={key}", named)
    table = read(folder / "with", key)
    joined = read(folder / "with", "combined")
    assert list(table["xyzcal.px"]) != list(joined["xyzcal.px"])
    restored = undo_factors(table)
    plain = read(folder / "without", "combined")
    rows = places(restored, plain)
    assert sorted(rows) == [*range(len(plain))]
    assert restored.as_msgpack() == plain.select(rows).as_msgpack()


def test_scaled_together(folder):
    dials(folder / "with", "scale", *files("combined"), *SCALE)
    table = read(folder / "with", "scaled")
    restored = undo_factors(table)
    assert not correction_columns([*restored.keys()])
    copy = [t.select(t["id"] == 1) for t in (table, restored)]
    assert without_correction(copy[0]).as_msgpack() == copy[1].as_msgpack()
    plain = read(folder / "without", "combined")
    rows = places(restored, plain)
    for name in ("intensity.prf.value", "intensity.sum.variance"):
        found = restored[name].as_numpy_array()
        assert np.isfinite(found).all()
        # dials.scale joins the two parts of a few reflections.
        assert (found == plain[name].as_numpy_array()[rows]).mean() > 0.95
    assert [correction_state(table.select(table["id"] == k)) for k in range(2)] == [
        *("corrected", "none")
    ]


def test_corrected_after_scaling_then_joined_and_scaled_again(folder, data_folder):
    own = folder / "after"
    own.mkdir()
    stem = str(data_folder / "quartz" / "scaled")
    write_as(own, "corrected", stem, lambda table: corrected(table, scaled=True))
    write_as(own, "copy", stem)
    dials(own, "combine_experiments", *files("corrected"), *files("copy"))
    joined = read(own, "combined")
    assert correction_state(joined) == "corrected"
    plain = flex.reflection_table.from_file(f"{stem}.refl")["intensity.scale.value"]
    value = undo_factors(joined)["intensity.scale.value"]
    assert list(value) == [*plain, *plain]
    dials(own, "scale", *files("combined"), *SCALE)
    scaled = read(own, "scaled")
    assert correction_state(scaled) == "overwritten"
    restored = undo_factors(scaled)
    assert list(restored["intensity.scale.value"]) == (
        list(scaled["intensity.scale.value"])
    )
    data = read_files([str(own / "scaled.expt")], [str(own / "scaled.refl")])
    with pytest.raises(
        ValueError, match="^1 of 2 crystals was corrected after scaling"
    ):
        get_subject(data.experiments, data.tables, force=True)


def test_the_part_that_can_be_corrected(folder):
    """One file or two: the same crystal is left, and columns do not get lost."""
    one = files(str(folder / "with" / "combined"))
    two = [files(str(folder / "with" / "corrected")), files(str(folder / "copy"))]
    for data in (read_files(one[:1], one[1:]), read_files(*map(list, zip(*two)))):
        part, numbers, (told,) = uncorrected_part(data)
        assert numbers == [1] and "1 of 2 is corrected" in told
        assert [e.identifier for e in part.experiments] == ["copy"]
        assert list(corrected_crystals(data.tables)) == [True, False]
        with pytest.raises(ValueError, match="^1 of 2 crystals is corrected already"):
            get_subject(data.experiments, data.tables, force=True)
        joined, table = join(data.experiments, data.tables)
        plain = read(folder / "without", "combined")
        assert undo_factors(table).as_msgpack() == plain.as_msgpack()
    with pytest.raises(ValueError, match="copy.refl: not corrected"):
        restored_table(data)
