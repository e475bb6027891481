"""Experiments and reflections are brought together, whatever the order of the files."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cctbx import sgtbx, uctbx
from dials.array_family import flex
from dials.command_line import combine_experiments
from dials.command_line.reindex import reindex_experiments
from dxtbx.model import BeamFactory, Crystal, Detector, Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory
from scitbx import matrix

from dials_spread.beam.files import NeverRecorded, find_frame_files
from dials_spread.input_files import CONVERTED, has_no_images, read_files
from dials_spread.observations.crystals import check_crystals
from dials_spread.valid_input.pairing import pair_up


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


def of_group(group, *cell, operator="a,b,c"):
    """A crystal of that space group, reindexed as dials.reindex does it."""
    basis = uctbx.unit_cell(cell).orthogonalization_matrix()
    a, b, c = (basis[k::3] for k in range(3))
    one = experiment()
    one.crystal = Crystal(a, b, c, group)
    change = sgtbx.change_of_basis_op(operator)
    return reindex_experiments(ExperimentList([one]), change)[0]


def test_groups_that_differ_by_their_origin_are_one():
    one, other = (
        of_group("P 21 21 21", 9, 9.5, 14, 90, 90, 90, operator=operator)
        for operator in ("a,b,c", "b,a,-c")
    )
    assert "a+1/4" in str(other.crystal.get_space_group().info())
    check_crystals([one, one, other])


@pytest.mark.parametrize(
    ("group", "cell", "operator"),
    [
        ("P 1 21/n 1", (5.1, 11.9, 5.46, 90, 111.8, 90), "h+l,k,-h"),
        ("C 1 2 1", (14, 6, 9, 90, 105, 90), "-h-l,k,h"),
        ("P 21 21 2", (9, 9.5, 14, 90, 90, 90), "k,l,h"),
    ],
)
def test_another_setting_is_refused_with_the_operator_that_mends_it(
    group, cell, operator
):
    here, there = of_group(group, *cell), of_group(group, *cell, operator=operator)
    with pytest.raises(ValueError, match="is another setting of") as error:
        check_crystals([here, here, there])
    (found,) = re.findall("change_of_basis_op=(.*) brings it there", str(error.value))
    change = sgtbx.change_of_basis_op(found)
    check_crystals([here, here, *reindex_experiments(ExperimentList([there]), change)])


def test_another_cell_is_refused_with_the_operator_that_mends_it():
    cell = ("P 21 21 21", 8, 11, 14, 90, 90, 90)
    here, there = of_group(*cell), of_group(*cell, operator="b,c,a")
    with pytest.raises(ValueError, match="change_of_basis_op=.* brings it there"):
        check_crystals([here, here, there])
    with pytest.raises(ValueError, match="more than 10 % or 5°. Run") as error:
        check_crystals([here, here, of_group("P 21 21 21", 6, 7, 8, 90, 90, 90)])
    assert "change_of_basis_op" not in str(error.value)


def test_the_other_enantiomorph_is_told():
    cell = (7, 7, 9, 90, 90, 120)
    with pytest.raises(ValueError, match="P 32 is the other enantiomorph of P 31"):
        check_crystals([of_group("P 31", *cell)] * 2 + [of_group("P 32", *cell)])


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


def test_data_converted_from_a_list_have_no_images(tmp_path):
    from dxtbx.imageset import ImageSetFactory
    from dxtbx.model import GoniometerFactory, Scan

    def named(template):
        made = experiment()
        made.imageset = ImageSetFactory.make_sequence(
            template,
            [1, 2, 3],
            beam=made.beam,
            detector=made.detector,
            goniometer=GoniometerFactory.single_axis(),
            scan=Scan((1, 3), (0.0, 1.0)),
            check_format=False,
        )
        return made

    assert has_no_images(named(str(tmp_path / CONVERTED.format("gly (2)", 1))))
    assert has_no_images(named("a_0012_converted_without_images_#####.cbf"))
    assert not has_no_images(named("a_converted_#####.cbf"))
    # Nothing is looked for, and nobody is told that it was not found.
    with pytest.raises(NeverRecorded, match="converted without raw images"):
        find_frame_files(named("b_0001_converted_without_images_#####.cbf"), 1, 2)


@pytest.mark.parametrize("way", ("extend", "concat", "dials.combine_experiments"))
def test_scaled_and_unscaled_crystals_in_one_table(data_folder, tmp_path, way):
    """Whatever joins tables fills the missing columns with nought."""
    parts = []
    for kind in ("scaled", "integrated"):
        name = str(data_folder / "quartz" / kind)
        part = flex.reflection_table.from_file(f"{name}.refl")
        listed = ExperimentListFactory.from_json_file(f"{name}.expt", False)
        listed[0].identifier = kind
        for key in [*part.experiment_identifiers().keys()]:
            del part.experiment_identifiers()[key]
        part.experiment_identifiers()[0] = kind
        part.as_file(str(tmp_path / f"{kind}.refl"))
        listed.as_file(str(tmp_path / f"{kind}.expt"))
        parts.append((listed[0], part))
    expt, refl = str(tmp_path / "joined.expt"), str(tmp_path / "joined.refl")
    if way == "dials.combine_experiments":
        files = [
            str(tmp_path / f"{k}.{e}")
            for k in ("scaled", "integrated")
            for e in ("expt", "refl")
        ]
        combine_experiments.run(
            [
                *files,
                f"output.experiments_filename={expt}",
                f"output.reflections_filename={refl}",
            ]
        )
    else:
        joined = parts[0][1].copy()
        if way == "extend":
            other = parts[1][1]
            other["id"] = flex.int(len(other), 1)
            del other.experiment_identifiers()[0]
            other.experiment_identifiers()[1] = "integrated"
            joined.extend(other)
        else:
            joined = flex.reflection_table.concat([joined, parts[1][1]])
        joined.as_file(refl)
        ExperimentList([e for e, _ in parts]).as_file(expt)
    with pytest.raises(ValueError, match="1 of 2 are not scaled") as told:
        read_files([expt], [refl])
    assert "(crystal 1)" in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(ValueError, match="scaled and unscaled crystals are joined"):
        read_files([expt], [refl], "scale")
    assert len(read_files([expt], [refl], "profile").tables) == 2
