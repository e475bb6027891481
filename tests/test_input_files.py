"""Experiments and reflections are brought together, whatever the order of the files."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import sgtbx
from dials.array_family import flex
from dxtbx.model import BeamFactory, Crystal, Detector, Experiment, ExperimentList
from scitbx import matrix

from dials_spread.input_files import has_no_images, pair_up, read_files
from dials_spread.observations.crystals import check_crystals


def experiment(identifier="", scale=1.0, group="P1", wavelength=1.0):
    axes = (matrix.sqr((10, 0, 0, 0, 11, 0, 0, 0, 12)) * scale).as_list_of_lists()
    crystal = Crystal(*axes, space_group=sgtbx.space_group_info(group).group())
    beam = BeamFactory.make_beam(sample_to_source=(0, 0, 1), wavelength=wavelength)
    return Experiment(
        identifier=identifier, beam=beam, detector=Detector(), crystal=crystal
    )


def table(*ids, names=None):
    """A table with one reflection for each id; d tells tables from one another."""
    made = flex.reflection_table()
    made["id"] = flex.int(ids)
    made["d"] = flex.double(range(len(ids)))
    for i, name in (names or {}).items():
        made.experiment_identifiers()[i] = name
    return made


def paired(lists, tables, expt=None, refl=None):
    """The experiments that have reflections, with the ids of these."""
    lists = [ExperimentList(some) for some in lists]
    expt = expt or [f"{k}.expt" for k in range(len(lists))]
    refl = refl or [f"{k}_.refl" for k in range(len(tables))]
    found, unmatched = pair_up(lists, tables, expt, refl)
    return {n: [*part["id"]] for n, part in found.items()}, unmatched


def test_identifiers_tell_whatever_the_order():
    lists = [[experiment("a"), experiment("b")], [experiment("c")]]
    tables = [table(0, 0, names={0: "c"}), table(0, 1, 1, names={0: "b", 1: "a"})]
    assert paired(lists, tables) == ({2: [0, 0], 1: [0], 0: [1, 1]}, {})


def test_one_table_for_two_lists():
    lists = [[experiment("a")], [experiment("b")]]
    assert paired(lists, [table(0, 1, names={0: "b", 1: "a"})]) == (
        {1: [0], 0: [1]},
        {},
    )
    nameless = [[experiment()], [experiment()]]
    assert paired(nameless, [table(0, 1, 1)]) == ({0: [0], 1: [1, 1]}, {})


def test_two_tables_for_one_list():
    one = [[experiment(), experiment(), experiment()]]
    tables = [table(0, 1), table(0, 0)]
    assert paired(one, tables) == ({0: [0], 1: [1], 2: [0, 0]}, {})


def test_identifiers_used_again_are_told_apart_by_their_files():
    lists = [[experiment("0")], [experiment("0")]]
    tables = [table(3, names={3: "0"}), table(4, 4, names={4: "0"})]
    assert paired(lists, tables) == ({0: [3], 1: [4, 4]}, {})


def test_names_of_files_tell_where_there_are_no_identifiers():
    lists = [[experiment()], [experiment(), experiment()]]
    tables = [table(0, 1), table(0, 0, 0)]
    files = (["x/a.expt", "x/b.expt"], ["x/b.refl", "x/a.refl"])
    assert paired(lists, tables, *files) == ({1: [0], 2: [1], 0: [0, 0, 0]}, {})


def test_numbers_that_do_not_start_at_zero_are_in_order():
    # The lowest id is the first experiment, as DIALS takes it.
    assert paired([[experiment(), experiment()]], [table(7, 5, -1)])[0] == {
        0: [5],
        1: [7],
    }


def test_reflections_without_their_experiment_are_counted():
    tables = [table(0, 1, 1, 1, names={0: "a", 1: "gone"})]
    assert paired([[experiment("a")]], tables) == ({0: [0]}, {"0_.refl": 3})


def test_what_has_no_counterpart_is_refused():
    with pytest.raises(ValueError, match="0_.refl: the experiments of these refl"):
        paired([[experiment("a")]], [table(0, names={0: "b"})])
    with pytest.raises(ValueError, match="1.expt: the reflections of these exper"):
        paired([[experiment("a")], [experiment("b")]], [table(0, names={0: "a"})])
    with pytest.raises(ValueError) as error:
        twice = [table(0, 1, names={0: "a", 1: "b"})] * 2
        paired([[experiment("a"), experiment("b")]], twice)
    assert str(error.value) == "1_.refl: a second table for 2 of the experiments"


def test_crystals_that_can_be_compared():
    check_crystals([experiment(scale=1.05), experiment(), experiment()])
    # Both count as electrons: programs write X-rays into the beam by default.
    check_crystals([experiment(wavelength=0.025), experiment(wavelength=0.0197)])


def test_crystals_that_cannot():
    for other, told in (
        (experiment(group="P-1"), "2 different space groups: P -1, P 1. If"),
        (experiment(scale=1.2), r"cell of crystal 2 \(12.00, .* more than 10 % or 5°"),
        (experiment(wavelength=0.02), "different radiation .*: X-rays, electrons. Run"),
    ):
        with pytest.raises(ValueError, match=told):
            check_crystals([experiment(), experiment(), other])


def test_crystals_that_cannot_be_compared_are_told_with_their_files():
    other = experiment(group="P-1", scale=1.2, wavelength=0.02)
    names = ["a.expt", "b.expt", "c.expt"]
    with pytest.raises(ValueError) as error:
        check_crystals([experiment(), experiment(), other], names)
    radiation, group, cell = str(error.value).splitlines()
    assert "X-rays (a.expt and 1 more), electrons (c.expt). Run" in radiation
    assert "P -1 (c.expt), P 1 (a.expt and 1 more). If" in group
    assert cell.startswith("The cell of crystal 2 in c.expt (12.00, ")


def test_an_experiment_without_reflections_keeps_its_number(read_measured, tmp_path):
    experiments, tables = read_measured("abiraterone/integrated")
    sizes = [0, len(tables[1]), 0, 0, len(tables[4]), 0]
    some = flex.reflection_table.concat([tables[1], tables[4]])
    experiments.as_file(tmp_path / "a.expt")
    some.as_file(tmp_path / "b.refl")
    data = read_files([str(tmp_path / "a.expt")], [str(tmp_path / "b.refl")])
    assert [len(t) for t in data.tables] == sizes
    assert data.dataset == [0] * 6


def test_wedges_without_identifiers_in_any_order(data_folder):
    folder = data_folder / "narrow_wedges"
    expt = [str(f) for f in sorted(folder.glob("sweep_00*.expt"))]
    refl = [f.replace(".expt", ".refl") for f in expt]
    sizes = [len(t) for t in read_files(expt, refl, allow_pickle=True).tables]
    again = read_files(expt, refl[::-1], allow_pickle=True)
    assert [len(t) for t in again.tables] == sizes
    assert np.min(sizes) > 0


def test_data_simulated_without_raw_images_are_known_after_a_round_trip(tmp_path):
    """Their images never were; those written beside the table, and moved, are missing."""
    from dials_spread.simulation.datasets import simulate_experiments
    from dials_spread.simulation.frames import name_frames
    from dials_spread.simulation.structures import random_structure

    rng = np.random.default_rng(0)
    experiments, _ = simulate_experiments(
        random_structure(rng), rng, n_crystals=2, d_min=2.0, scan_width=2.0
    )
    assert all(map(has_no_images, experiments))
    experiments.as_file(tmp_path / "simulated.expt")
    read = ExperimentList.from_file(tmp_path / "simulated.expt", check_format=False)
    assert all(map(has_no_images, read))
    name_frames(read, tmp_path / "images", "cbf")
    assert not any(map(has_no_images, read))
    assert not has_no_images(experiment())
