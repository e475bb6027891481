"""Orientations, intensities and positions of files whose geometry is known."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from dials.array_family import flex
from dials.command_line.frame_orientations import extract_experiment_data

from dials_spread.orientation import setting_matrix
from dials_spread.pets.conversion import ImportChoices, convert

UNEVEN = np.cumsum([0.7, 0.65, 0.9, 0.72, 0.55, 0.85, 0.7, 0.7, 0.95, 0.6, 0.7])


def angle(a, b):
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))


def farthest_zone_axis(experiments, table, axes):
    """Largest angle of the beam with where the zone axes of the file have it [°].

    By this package for the moment of each row, and by DIALS for the image.
    """
    worst = 0.0
    frame = table["pets.frame"].as_numpy_array()
    z = table["xyzcal.px"].parts()[2].as_numpy_array()
    number = table["id"].as_numpy_array()
    for k in np.unique(frame):
        own = np.flatnonzero(frame == k)
        (moment,), (which,) = np.unique(z[own]), np.unique(number[own])
        e = experiments[int(which)]
        cell = e.crystal.get_unit_cell()
        ortho = np.array(cell.orthogonalization_matrix()).reshape(3, 3)
        expected = -ortho @ axes[k - 1]
        mine = ortho @ (setting_matrix(e, moment).T @ np.array(e.beam.get_s0()))
        image = int(np.floor(moment))
        by_dials = ortho @ extract_experiment_data(e, 1)["zone_axes"][image].elems
        worst = max(worst, angle(mine, expected), angle(by_dials, expected))
    return worst


@pytest.fixture
def told(caplog):
    """A function that converts, and gives experiments, table, and the log."""

    def run(*files, **choices):
        caplog.clear()
        logging.getLogger("dials").propagate = True
        with caplog.at_level(logging.INFO, logger="dials.spread"):
            found = convert(files or ("made.cif_pets",), ImportChoices(**choices))
        return (*found, caplog.text)

    return run


@pytest.mark.parametrize(
    ("alpha", "kw"),
    [
        (np.arange(8) * 0.7 - 3, {}),
        (UNEVEN, {}),
        (-UNEVEN, {}),
        (np.delete(np.arange(20) * 0.8, [5, 6, 7, 8, 13]), {}),
        (UNEVEN, {"beta": 3.5}),
        (UNEVEN, {"beta": np.linspace(-1, 1, 11), "omega": 130 + np.sin(UNEVEN * 9)}),
        ([12.0], {}),
    ],
    ids=["even", "uneven", "decreasing", "gaps", "beta", "drift", "one frame"],
)
def test_the_beam_is_where_the_zone_axes_have_it(make, told, alpha, kw):
    made = make(alpha, **kw)
    experiments, table, _ = told()
    assert len(experiments) == 1
    assert farthest_zone_axis(experiments, table, made.axes) < 0.01
    assert len(table) == len(made.lines)


def test_orientation_about_the_beam_follows_omega(make, told):
    """Angles between frames, measured between reciprocal vectors in the laboratory."""
    made = make(UNEVEN, omega=130 + np.linspace(0, 4, 11))
    experiments, table, _ = told()
    z = table["xyzcal.px"].parts()[2].as_numpy_array()
    frame = table["pets.frame"].as_numpy_array()
    settings = [
        setting_matrix(experiments[0], float(z[frame == k][0])) for k in (1, 11)
    ]
    between = settings[1] @ np.linalg.inv(settings[0])
    turn = np.degrees(np.arccos((np.trace(between) - 1) / 2))
    a, o = np.radians(UNEVEN[10] - UNEVEN[0]) / 2, np.radians(4) / 2
    # Rz(ω₂) Rx(α₂) [Rz(ω₁) Rx(α₁)]⁻¹ turns by 2 arccos(cos(Δω/2) cos(Δα/2)).
    assert turn == pytest.approx(
        np.degrees(2 * np.arccos(np.cos(a) * np.cos(o))), abs=0.01
    )
    assert len(made.alpha) == 11


def test_gaps_are_empty_images(make, told):
    make(np.delete(np.arange(20) * 0.8, [5, 6, 7, 8, 13]))
    experiments, table, log = told()
    assert experiments[0].scan.get_num_images() == 60
    assert experiments[0].scan.get_oscillation()[1] == pytest.approx(0.8 / 3, rel=1e-3)
    assert "5 places in gaps have no frame" in log
    z = table["xyzcal.px"].parts()[2].as_numpy_array()
    assert set(np.unique(z // 3).astype(int)) == set(range(20)) - {5, 6, 7, 8, 13}


def test_a_tilt_that_turns_back_is_two_experiments(make, told):
    alpha = np.concatenate([np.arange(6) * 0.7, 3.3 - np.arange(5) * 0.7])
    made = make(alpha)
    experiments, table, log = told()
    assert len(experiments) == 2
    assert "2 runs" in log and "no agreement between crystals" in log
    assert farthest_zone_axis(experiments, table, made.axes) < 0.01
    names = table.experiment_identifiers()
    assert [names[k] for k in range(2)] == [e.identifier for e in experiments]


def test_steps_that_change_their_width_are_one_scan_with_empty_places(make, told):
    alpha = np.concatenate([np.arange(24) * 0.5, 12 + np.arange(24) * 0.9])
    made = make(alpha)
    (experiment,), table, _ = told()
    assert 3 * experiment.scan.get_oscillation()[1] == pytest.approx(0.5, rel=0.1)
    z = table["xyzcal.px"].parts()[2].as_numpy_array()
    frame = table["pets.frame"].as_numpy_array()
    start, width = experiment.scan.get_oscillation()
    assert np.abs(start + width * z - alpha[frame - 1]).max() < 1
    assert farthest_zone_axis([experiment], table, made.axes) < 0.01


def test_less_deviation_than_can_be_had_makes_several_experiments(make, told):
    made = make(UNEVEN)
    experiments, table, _ = told(tolerance=0.02)
    assert len(experiments) > 1
    assert farthest_zone_axis(experiments, table, made.axes) < 0.01


def test_tilts_at_random_are_one_scan(make, told):
    alpha = np.cumsum(np.random.default_rng(5).uniform(0.25, 1.1, 60))
    made = make(alpha)
    experiments, table, _ = told()
    assert len(experiments) == 1
    assert farthest_zone_axis(experiments, table, made.axes) < 0.01


def test_several_files_and_blocks_are_several_crystals(make, told, tmp_path):
    first = make(UNEVEN, name="first.cif_pets")
    second = make(UNEVEN + 20, name="second.cif_pets", seed=4)
    text = first.text(name="one") + second.text(name="two")
    (tmp_path / "both.cif_pets").write_text(text, encoding="utf-8")
    separate = told("first.cif_pets", "second.cif_pets")
    together = told("both.cif_pets")
    for experiments, table, _ in (separate, together):
        assert len(experiments) == 2
        counts = [(table["id"] == k).count(True) for k in range(2)]
        assert counts == [len(first.lines), len(second.lines)]
    assert "both.cif_pets, data_two" in together[2]
    values = [t["intensity.prf.value"] for _, t, _ in (separate, together)]
    assert (values[0] == values[1]).all_eq(True)


def test_positions_are_those_of_dials(make, told):
    """With even steps, β 0 and one ω the crystal is static: DIALS predicts it."""
    from dials.algorithms.spot_prediction import ScanStaticReflectionPredictor
    from dxtbx.model import Crystal

    make(np.arange(30) * 0.7)
    (experiment,), table, _ = told()
    a = experiment.crystal.get_A_at_scan_point(40)
    real = np.linalg.inv(np.array(a).reshape(3, 3))
    experiment.crystal = Crystal(
        *(tuple(map(float, row)) for row in real),
        space_group=experiment.crystal.get_space_group(),
    )
    predicted = ScanStaticReflectionPredictor(experiment, dmin=0.7).for_ub(
        experiment.crystal.get_A()
    )
    at = {
        (h, round(z)): (x, y, z)
        for h, (x, y, z) in zip(predicted["miller_index"], predicted["xyzcal.px"])
    }
    compared = 0
    for h, (x, y, frame), z in zip(
        table["miller_index"], table["xyzcal.px"], table["pets.crossing"]
    ):
        near = [at[h, k] for k in (int(z) - 1, int(z), int(z) + 1) if (h, k) in at]
        # Crossings are looked for within 2.5°.
        if near and abs(z - frame) * 0.7 / 3 < 2.4:
            compared += 1
            assert np.abs(np.subtract((x, y), near[0][:2])).max() < 0.1
            assert abs(z - near[0][2]) < 0.05
    assert compared > 1000
    zeta = flex.double(table["zeta"])
    table.compute_zeta(experiment)
    assert flex.max(flex.abs(zeta - table["zeta"])) < 1e-6


def test_columns_that_other_programs_look_for(make, told):
    made = make(UNEVEN)
    _, table, _ = told()
    sigma = np.round([line[4] for line in made.lines], 2)
    for kind in ("prf", "sum"):
        value = table[f"intensity.{kind}.value"].as_numpy_array()
        assert np.allclose(value, np.round([line[3] for line in made.lines], 2))
        variance = table[f"intensity.{kind}.variance"].as_numpy_array()
        assert np.allclose(variance, sigma**2)
    assert "lp" not in table
    assert table.get_flags(table.flags.integrated, all=True).all_eq(True)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (["scale"], "_diffrn_zone_axis_scale: 1 was taken"),
        (["precession_angle"], "_diffrn_zone_axis_precession_angle: half a step"),
        (["beta"], "_diffrn_zone_axis_beta: 0° was taken"),
        (["u"], "no zone axes"),
    ],
)
def test_what_can_be_done_without(make, told, missing, words):
    made = make(UNEVEN, leave=[f"_diffrn_zone_axis_{key}" for key in missing])
    experiments, table, log = told()
    assert words in log
    assert farthest_zone_axis(experiments, table, made.axes) < 0.01


def test_the_cell_of_the_header_can_be_chosen(make, told, tmp_path):
    make(UNEVEN)
    path = tmp_path / "made.cif_pets"
    text = path.read_text().replace("_cell_length_a 5.0000", "_cell_length_a 5.0500")
    path.write_text(text)
    for cell, a in (("matrix", 5.0), ("header", 5.05)):
        (experiment,), _, log = told(cell=cell, space_group="P222")
        found = experiment.crystal.get_unit_cell().parameters()
        assert found[0] == pytest.approx(a, abs=0.001)
        assert found[3:] == pytest.approx((90, 90, 90), abs=1e-9)
        assert "Cell of the header: 5.050" in log


@pytest.mark.parametrize(
    ("shape", "header", "words", "others"),
    [
        ("two humps", "continuous rotation", "two humps", "the header is wrong"),
        ("two humps", "precession", "two humps", "as the header says"),
        ("flat", "continuous rotation", "no humps", "as the header says"),
        ("flat", "precession", "no humps", "the header is wrong"),
        ("same", "continuous rotation", "one intensity", "no rocking curve can tell"),
    ],
)
def test_rotation_and_precession_are_told_apart(
    make, told, shape, header, words, others
):
    made = make(np.arange(40) * 0.3, shape=shape, header=header)
    _, table, log = told(max_relative_error=None)
    assert words in log and others in log
    assert len(table) == len(made.lines)


def test_far_listings_are_left_out_where_intensities_are_partial(make, told):
    made = make(np.arange(40) * 0.3, shape="flat")
    _, table, log = told()
    relative = np.abs(table["pets.relative_excitation_error"].as_numpy_array())
    assert relative.max() <= 0.7 and 0 < len(table) < len(made.lines)
    assert f"Left out: {len(made.lines) - len(table)} of {len(made.lines)}" in log
