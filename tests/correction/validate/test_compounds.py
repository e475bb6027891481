"""Measured data sets find their references by cell and symmetry, or are told why not."""

from __future__ import annotations

import pytest

from dials_spread.correction.validate.compounds import find_sources, sort_compounds

NAMES = ("abiraterone", "quartz", "glycine")


@pytest.fixture(scope="module")
def measured(read_measured):
    """Experiments and tables of three compounds, and the data set of each."""
    experiments, tables, dataset = [], [], []
    for k, name in enumerate(NAMES):
        some, own = read_measured(f"{name}/integrated")
        experiments += list(some)
        tables += own
        dataset += [k] * len(own)
    return experiments, tables, dataset


def test_each_data_set_finds_its_own(measured):
    experiments, _, dataset = measured
    # In another order than the data, and from files in settings of their own.
    found = sort_compounds(experiments, dataset, ["glycine", "abiraterone", "quartz"])
    sets = {c.reference.source: {dataset[n] for n in c.experiments} for c in found}
    assert sets == {"abiraterone": {0}, "quartz": {1}, "glycine": {2}}
    assert sum(len(c.experiments) for c in found) == len(experiments) == 8


def test_two_data_sets_of_one_compound_come_together(measured):
    experiments, _, dataset = measured
    own = [n for n, k in enumerate(dataset) if k == 0]
    other = dataset.index(1)
    chosen = [experiments[n] for n in (own[0], other, own[1])]
    found = sort_compounds(chosen, [0, 1, 2], ["abiraterone", "quartz"])
    assert [c.experiments for c in found] == [(0, 2), (1,)]


def test_a_file_of_the_same_structure_does_as_well(measured, data_folder):
    experiments, _, dataset = measured
    files = [f"{data_folder}/structures/{n}.cif" for n in ("quartz", "glycine")]
    kept = [n for n, k in enumerate(dataset) if k > 0]
    found = sort_compounds([experiments[n] for n in kept], [0, 1], files)
    assert [c.experiments for c in found] == [(0,), (1,)]


def test_a_data_set_without_a_reference_is_named_with_all_cells(measured):
    experiments, _, dataset = measured
    with pytest.raises(ValueError) as error:
        sort_compounds(experiments, dataset, ["abiraterone", "glycine"])
    (line,) = str(error.value).splitlines()
    assert line.startswith("Data set 2: its cell (4.9")
    assert "fits no reference: abiraterone (" in line and "; glycine (" in line


def test_two_references_of_one_cell_are_not_guessed_between(measured, data_folder):
    experiments, _, dataset = measured
    twin = f"{data_folder}/structures/quartz.cif"
    names = ["abiraterone", "quartz", twin, "glycine"]
    with pytest.raises(ValueError, match="fits more than one reference: quartz and /"):
        sort_compounds(experiments, dataset, names)
    with pytest.raises(ValueError, match="^reference=quartz is given twice$"):
        sort_compounds(experiments, dataset, [*NAMES, "quartz"])


def test_a_reference_without_data_is_named(measured):
    experiments, _, dataset = measured
    with pytest.raises(ValueError, match=r"^reference=paracetamol \(.*none of the 3"):
        sort_compounds(experiments, dataset, [*NAMES, "paracetamol"])


def test_lists_without_a_cell_fit_nothing(measured, tmp_path):
    experiments, _, dataset = measured
    file = tmp_path / "some.hkl"
    file.write_text("   1   0   0  100.00    1.00\n   0   0   0    0.00    0.00\n")
    with pytest.raises(ValueError, match="some.hkl: neither cell nor space group"):
        sort_compounds(experiments, dataset, ["quartz", str(file)])


def test_what_is_wrong_with_data_is_told_of_each_compound(measured):
    experiments, tables, dataset = measured
    few = [table[: len(table) // 40] for table in tables]
    with pytest.raises(ValueError) as error:
        find_sources(experiments, few, dataset, NAMES)
    lines = str(error.value).splitlines()
    assert "quartz: There are 25 unique reflections; 120 are needed." in lines
    for name in NAMES:
        assert f"{name}: force=True corrects them all the same" in lines
