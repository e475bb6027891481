"""Which intensity is used and what is left out: against dials.export and dials.scale."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict

import numpy as np
import pytest

from cctbx import sgtbx
from dials.array_family import flex
from dials.util.filter_reflections import filter_reflection_table

from dials_spread.observations import build_observations
from dials_spread.observations.indices import Absences
from dials_spread.observations.intensities import (
    REASONS,
    applied_corrections,
    choose_intensity,
    find_dropped,
    intensity_and_variance,
)

FLAGS = flex.reflection_table.flags
BOTH = FLAGS.integrated_prf | FLAGS.integrated_sum
P212121 = sgtbx.space_group_info("P 21 21 21").group()
SCALED = ("quartz/scaled", *(f"l_cysteine/scaled_{n}" for n in ("20_25", "30", "35")))


def dials(folder, *command):
    """Run a DIALS program in a folder and insist on success."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on PATH")
    done = subprocess.run(
        [*map(str, command)], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert not done.returncode, done.stdout + done.stderr


def exported(folder, expt, refl):
    """
    Give what dials.export writes for SHELX: intensities and sigmas by index.

    By default it multiplies all by one number; without that, large values are printed
    with fewer digits.
    """
    options = ("shelx.scale=False", "shelx.scale_range=-999999,9999999")
    arguments = (expt, refl, "format=shelx", "intensity=scale", *options)
    dials(folder, "dials.export", *arguments)
    rows = defaultdict(list)
    for line in (folder / "dials.hkl").read_text().splitlines():
        hkl = tuple(int(line[i : i + 4]) for i in (0, 4, 8))
        if hkl == (0, 0, 0):
            break
        rows[hkl].append((line[12:20], line[20:28]))
    return rows


def half_a_digit(printed):
    """Half of the last printed digit, and rounding of the binary number."""
    return 0.5 * 10.0 ** -len(printed.partition(".")[2]) + 1e-6


def read(expt, refl):
    from dxtbx.model.experiment_list import ExperimentListFactory

    experiments = ExperimentListFactory.from_json_file(str(expt), check_format=False)
    table = flex.reflection_table.from_file(str(refl))
    numbers = range(len(experiments))
    return experiments, [table.select(table["id"] == i) for i in numbers]


def assert_equals_export(folder, expt, refl):
    """
    Compare all observations with all lines of dials.export, row by row.

    The one difference allowed, and counted, is that export writes systematic absences.
    It would also merge the parts of a reflection split between integration blocks, cut
    partialities below 0.4 after that, and I/sigma below -5: the sets tested have none
    of these among what dials.scale accepted, or the counts would not match.
    """
    lines = exported(folder, expt, refl)
    experiments, tables = read(expt, refl)
    observations = build_observations(experiments, tables, intensity="auto")
    assert observations.choice == "scale"
    ours = defaultdict(list)
    for hkl, i, sigma in zip(
        observations.miller_index.tolist(), observations.intensity, observations.sigma
    ):
        ours[tuple(hkl)].append((i, sigma))
    group = experiments[0].crystal.get_space_group()
    absent = {hkl: rows for hkl, rows in lines.items() if group.is_sys_absent(hkl)}
    n_absent = sum(map(len, absent.values()))
    assert observations.dropped.get("systematically absent", 0) == n_absent
    assert ours.keys() == lines.keys() - absent.keys()
    for hkl, rows in ours.items():
        assert len(rows) == len(lines[hkl])
        printed = sorted(lines[hkl], key=lambda line: float(line[0]))
        for row, line in zip(sorted(rows), printed):
            for x, text in zip(row, line):
                assert abs(x - float(text)) <= half_a_digit(text), (hkl, row, line)
    return len(observations), n_absent


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", SCALED)
def test_scaled_intensities_are_those_of_dials_export(name, data_folder, tmp_path):
    files = (data_folder / f"{name}.expt", data_folder / f"{name}.refl")
    counted = assert_equals_export(tmp_path, *files)
    assert counted == {
        "quartz/scaled": (1393, 8),
        "l_cysteine/scaled_20_25": (5503, 0),
        "l_cysteine/scaled_30": (3163, 0),
        "l_cysteine/scaled_35": (3150, 0),
    }.get(name)


@pytest.mark.slow
def test_what_dials_scale_makes_now_equals_its_export(data_folder, tmp_path):
    names = [data_folder / "l_cysteine" / f"{n}_integrated" for n in (20, 25, 30, 35)]
    files = [f"{name}{end}" for name in names for end in (".expt", ".refl")]
    quick = ("error_model=None", "full_matrix=False", "model=KB", "nproc=2")
    dials(tmp_path, "dials.scale", *files, *quick)
    files = (tmp_path / "scaled.expt", tmp_path / "scaled.refl")
    n, n_absent = assert_equals_export(tmp_path, *files)
    assert n > 10_000 and n_absent == 0


@pytest.mark.parametrize("choice", ["profile", "sum"])
@pytest.mark.parametrize(
    "name", ["l_cysteine/25_integrated", "quartz/integrated", "cunir_stills/integrated"]
)
def test_unscaled_values_are_those_dials_scale_starts_from(name, choice, read_measured):
    experiments, tables = read_measured(name)
    compared = 0
    for experiment, table in zip(experiments, tables):
        if choice == "profile" and "intensity.prf.value" not in table:
            with pytest.raises(ValueError, match="1 of 1 reflection tables have no"):
                choose_intensity([table], choice)
            continue
        theirs = table.copy()
        theirs["row"] = flex.int(range(len(table)))
        theirs = filter_reflection_table(
            theirs, [choice], partiality_threshold=0.0, combine_partials=False
        )
        value, variance = intensity_and_variance(table, choice)
        rows = theirs["row"].as_numpy_array()
        column = {"profile": "prf", "sum": "sum"}[choice]
        for ours, kind in ((value, "value"), (variance, "variance")):
            expected = theirs[f"intensity.{column}.{kind}"].as_numpy_array()
            np.testing.assert_allclose(ours[rows], expected, rtol=1e-12)
        # What they filter we drop, beside absences and the origin, which they keep.
        group = experiment.crystal.get_space_group()
        absences = Absences(group, len(table))
        dropped = find_dropped(table, choice, value, variance, absences, 0.0, False)
        hkl = table["miller_index"]
        absent = group.is_sys_absent(hkl) | (hkl == (0, 0, 0))
        kept = np.isin(np.arange(len(table)), rows) & ~absent.as_numpy_array()
        np.testing.assert_array_equal(np.flatnonzero(dropped < 0), np.flatnonzero(kept))
        compared += len(rows)
    assert compared > 1000 or choice == "profile"


def table_of(hkl, intensity=100.0, variance=25.0, kinds=("prf",), flags=BOTH):
    """Make a hand-made table: one row an index."""
    n = len(hkl)
    table = flex.reflection_table()
    table["id"] = flex.int(n, 0)
    table["miller_index"] = flex.miller_index(hkl)
    table["xyzcal.px"] = flex.vec3_double(n, (1.0, 2.0, 0.5))
    table["flags"] = flex.size_t(n, int(flags))
    for kind in kinds:
        table[f"intensity.{kind}.value"] = flex.double(n, intensity)
        table[f"intensity.{kind}.variance"] = flex.double(n, variance)
    if "scale" in kinds:
        table["inverse_scale_factor"] = flex.double(n, 1.0)
    return table


def reasons(table, choice, keep_outliers=False):
    values = intensity_and_variance(table, choice)
    absences = Absences(P212121, len(table))
    found = find_dropped(
        table, choice, *values, absences, 0.4, keep_outliers, min_zeta=0.05
    )
    return ["" if r < 0 else REASONS[r] for r in found]


def spoilt_table(kinds):
    """One row for each reason, the first and the last are good."""
    hkl = [(1, 2, 3)] * 14
    hkl[2], hkl[3], hkl[-1] = (0, 0, 0), (3, 0, 0), (0, 0, -4)
    table = table_of(hkl, kinds=kinds)
    table["partiality"] = flex.double(len(hkl), 1.0)
    table["id"][1] = -1
    column = "intensity." + kinds[0]
    table[f"{column}.variance"][4] = 0.0
    table[f"{column}.variance"][5] = -1.0
    table[f"{column}.variance"][6] = float("nan")
    table[f"{column}.value"][7] = float("nan")
    table["flags"][8] = 0
    table["flags"][9] = int(BOTH | FLAGS.excluded_for_scaling)
    table["flags"][10] = int(BOTH | FLAGS.outlier_in_scaling)
    table["partiality"][11] = 0.39
    table["zeta"] = flex.double(len(hkl), -0.3)
    table["zeta"][12] = -0.049
    return table


EXPECTED = [
    "",
    "no experiment",
    "no Miller index",
    "systematically absent",
    "variance not positive and finite",
    "variance not positive and finite",
    "variance not positive and finite",
    "intensity not finite",
    "not integrated",
    "excluded for scaling",
    "outlier in scaling",
    "partiality too low",
    "next to the rotation axis",
    "",
]


@pytest.mark.parametrize("choice", ["profile", "scale"])
def test_each_reason_is_found(choice):
    kinds = {"profile": ("prf",), "scale": ("scale", "prf")}[choice]
    assert reasons(spoilt_table(kinds), choice) == EXPECTED


def test_each_reason_is_found_for_summed_values():
    assert reasons(spoilt_table(("sum",)), "sum") == EXPECTED


def test_reasons_do_not_depend_on_the_order_of_rows():
    order = np.random.default_rng(3).permutation(len(EXPECTED))
    table = spoilt_table(("sum",)).select(flex.size_t(order.tolist()))
    assert reasons(table, "sum") == [EXPECTED[i] for i in order]


def test_a_column_of_zeta_that_nobody_filled_leaves_nothing_out():
    table = table_of([(1, 2, 3)] * 4)
    table["zeta"] = flex.double(4, 0.0)
    assert reasons(table, "profile") == [""] * 4


def test_a_reflection_with_several_faults_is_counted_once():
    table = table_of([(0, 0, 0)], intensity=float("nan"), variance=-1, flags=0)
    table["id"][0] = -1
    assert reasons(table, "profile") == ["no experiment"]


def test_outliers_can_be_kept():
    table = spoilt_table(("scale",))
    expected = ["" if r == "outlier in scaling" else r for r in EXPECTED]
    assert reasons(table, "scale", keep_outliers=True) == expected


def test_user_excluded_reflections_are_left_out():
    flags = BOTH | FLAGS.user_excluded_in_scaling
    table = table_of([(1, 2, 3)], kinds=("scale",), flags=flags)
    assert reasons(table, "scale") == ["excluded for scaling"]


def test_an_inverse_scale_factor_of_zero_or_nan_means_not_scaled():
    table = table_of([(1, 2, 3)] * 4, kinds=("scale",))
    table["inverse_scale_factor"] = flex.double([0.0, float("nan"), -1.0, 2.0])
    assert reasons(table, "scale") == [*["not scaled"] * 3, ""]


def test_profile_fitting_and_summation_have_flags_of_their_own():
    table = table_of([(1, 2, 3)] * 3, kinds=("prf", "sum"))
    table["flags"] = flex.size_t(
        [int(FLAGS.integrated_prf), int(FLAGS.integrated_sum), int(BOTH)]
    )
    assert reasons(table, "profile") == ["", "not integrated", ""]
    assert reasons(table, "sum") == ["not integrated", "", ""]


def test_a_centroid_that_is_not_finite_leaves_no_image():
    table = table_of([(1, 2, 3)] * 2)
    table["xyzcal.px"][1] = (1.0, 2.0, float("nan"))
    assert reasons(table, "profile") == ["", "centroid not finite"]


def test_corrections_by_hand():
    table = table_of([(1, 2, 3)] * 2, 100.0, 25.0, kinds=("prf", "sum", "scale"))
    table["lp"] = flex.double([0.5, 2.0])
    table["qe"] = flex.double([0.8, 1.0])
    table["partiality"] = flex.double([0.5, 1.0])
    table["inverse_scale_factor"] = flex.double([4.0, 0.5])
    hand = {
        "profile": ([62.5, 200.0], [9.765625, 100.0]),
        "sum": ([125.0, 200.0], [39.0625, 100.0]),
        "scale": ([25.0, 200.0], [1.5625, 100.0]),
    }
    for choice, (value, variance) in hand.items():
        ours = intensity_and_variance(table, choice)
        np.testing.assert_allclose(ours, (value, variance), rtol=1e-14)
    before = intensity_and_variance(table, "profile")
    table["dqe"] = table["qe"]
    del table["qe"]
    np.testing.assert_array_equal(intensity_and_variance(table, "profile"), before)


@pytest.mark.parametrize("choice", ["profile", "sum", "scale"])
def test_values_scale_and_variances_scale_squared(choice):
    kinds = ("prf", "sum", "scale")
    one = intensity_and_variance(table_of([(1, 2, 3)], 70.0, 9.0, kinds), choice)
    ten = intensity_and_variance(table_of([(1, 2, 3)], 700.0, 900.0, kinds), choice)
    np.testing.assert_allclose(ten, (10 * one[0], 100 * one[1]))


def test_auto_takes_the_best_that_every_table_has():
    hkl = [(1, 2, 3)]
    summed = table_of(hkl, kinds=("sum",))
    both = table_of(hkl, kinds=("prf", "sum"))
    unfitted = table_of(hkl, kinds=("prf", "sum"), flags=FLAGS.integrated_sum)
    scaled = table_of(hkl, kinds=("prf", "sum", "scale"))
    assert choose_intensity([scaled, scaled], "auto") == "scale"
    assert choose_intensity([both, both], "auto") == "profile"
    assert choose_intensity([both, unfitted], "auto") == "sum"
    assert choose_intensity([both, summed], "auto") == "sum"
    assert choose_intensity([scaled], "sum") == "sum"


@pytest.mark.parametrize("choice", ["auto", "scale", "profile", "sum"])
def test_scaled_and_unscaled_tables_are_refused_together(choice):
    hkl = [(1, 2, 3)]
    scaled = table_of(hkl, kinds=("prf", "sum", "scale"))
    unscaled = table_of(hkl, kinds=("prf", "sum"))
    with pytest.raises(ValueError, match="1 of 3 tables are scaled"):
        choose_intensity([unscaled, scaled, unscaled], choice)


def test_what_is_asked_for_must_be_there():
    table = table_of([(1, 2, 3)], kinds=("sum",))
    for choice in ("scale", "profile"):
        with pytest.raises(ValueError, match=f"intensity={choice}: 1 of 1"):
            choose_intensity([table], choice)
    with pytest.raises(ValueError, match="No kind of intensity"):
        choose_intensity([table_of([(1, 2, 3)], kinds=())], "auto")


def test_corrections_that_every_table_has_are_named():
    """The Lorentz factor is not applied where lp is absent, or 1 throughout."""
    full, ones = flex.reflection_table(), flex.reflection_table()
    for table, lp in ((full, [0.5, 0.7]), (ones, [1.0, 1.0])):
        table["lp"] = flex.double(lp)
        table["qe"] = flex.double([0.9, 0.9])
        table["partiality"] = flex.double([1.0, 0.9])
    assert applied_corrections([full], "profile") == ("lp", "qe")
    assert applied_corrections([full], "sum") == ("lp", "qe", "partiality")
    assert applied_corrections([full, ones], "profile") == ("qe",)
    assert applied_corrections([full], "scale") == ()
