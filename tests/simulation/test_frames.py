"""What is on the frames of simulated crystals, against tables, DIALS and measured ones."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.imageset import ImageSetFactory
from dxtbx.model.experiment_list import ExperimentList, ExperimentListFactory

from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.detection import record
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.frame_background import (
    background_counts,
    scattering_vectors,
)
from dials_spread.simulation.frame_contents import (
    FrameModel,
    expected_frames,
    still_counts,
)
from dials_spread.simulation.frame_spots import add_spots, spot_crossings, spot_sigma
from dials_spread.simulation.frames import check_room, name_frames, write_frames
from dials_spread.simulation.image_files import frame_geometry
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure

NOTHING = FrameModel(background=0.0, direct_beam=0.0)


def column(table, name):
    return table[name].as_numpy_array()


def simulate(n_crystals=1, **choices):
    defaults = {
        "scan_width": 6.0,
        "image_width": 0.5,
        "d_min": 1.2,
        "mosaicity": 0.15,
        "n_pixels": 256,
    }
    return simulate_experiments(
        random_structure(np.random.default_rng(11)),
        np.random.default_rng(2),
        n_crystals=n_crystals,
        **{**defaults, **choices},
    )


@pytest.fixture(scope="module")
def crystal():
    return simulate(noise=NoiseModel(image_spread=0.2))


def test_spots_divide_over_frames_as_dials_computes_partialities(crystal):
    experiments, reflections = crystal
    rows, frames, parts, rates = spot_crossings(experiments[0], reflections)
    assert (rates >= 0).all()
    assert frames.min() >= 0 and frames.max() < 12
    assert (parts >= 0).all()
    total = np.bincount(rows, parts, minlength=len(reflections))
    partiality = column(reflections, "partiality")
    assert np.ptp(partiality) > 0.3
    # DIALS cuts the curve off at the bounding box, three standard deviations.
    np.testing.assert_allclose(total, partiality, atol=0.004)


def test_expected_counts_add_up_to_the_truth(crystal):
    experiments, reflections = crystal
    summed = sum(
        frame.expected.sum()
        for frame in expected_frames(experiments[0], reflections, NOTHING)
    )
    partial = column(reflections, "truth.expected") * column(reflections, "partiality")
    assert summed == pytest.approx(partial.sum(), rel=2e-3)


def test_each_spot_is_where_dials_predicts_it(crystal):
    experiments, reflections = crystal
    expected = column(reflections, "truth.expected")
    (row,) = np.flatnonzero(expected == expected.max())
    alone = reflections.select(flex.size_t([int(row)]))
    frames = list(expected_frames(experiments[0], alone, NOTHING))
    volume = np.array([frame.expected for frame in frames])
    centre = [
        np.sum(volume * grid) / volume.sum() for grid in np.indices(volume.shape) + 0.5
    ]
    x, y, z = column(alone, "xyzcal.px")[0]
    assert centre[1:] == pytest.approx([y, x], abs=1e-5)
    assert centre[0] == pytest.approx(z, abs=0.1)
    brightest = frames[int(volume.sum(axis=(1, 2)).argmax())]
    assert (
        brightest.expected.max() == brightest.expected[brightest.slow, brightest.fast]
    )


def test_a_spot_is_a_gaussian_over_pixels():
    frame = np.zeros((40, 50))
    add_spots(frame, np.array([20.3]), np.array([15.8]), np.array([1e4]), 1.7)
    slow, fast = np.indices(frame.shape) + 0.5
    assert frame.sum() == pytest.approx(1e4, rel=1e-5)
    assert (frame * fast).sum() / 1e4 == pytest.approx(20.3, abs=1e-4)
    variance = (frame * (slow - 15.8) ** 2).sum() / 1e4
    # A pixel adds the variance of a box.
    assert variance == pytest.approx(1.7**2 + 1 / 12, rel=1e-3)


def test_spots_over_the_edge_lose_what_lies_beyond():
    frame = np.zeros((20, 20))
    edge, middle, outside = 20.0, 10.0, 40.0
    x, y = np.array([edge, middle, outside]), np.array([middle, 0.0, middle])
    add_spots(frame, x, y, np.array([100.0, 100.0, 100.0]), 1.0)
    assert frame.sum() == pytest.approx(100.0, rel=1e-5)


def test_the_background_falls_as_measured(data_folder, crystal):
    """Cinchonine on a Timepix detector, 60 frames."""
    files = sorted((data_folder / "cinchonine_images").glob("*.img"))
    raw = [np.frombuffer(f.read_bytes()[512:], "<u2") for f in files]
    measured = np.mean(raw, axis=0).reshape(512, 512)
    slow, fast = np.indices(measured.shape) + 0.5
    radius = 0.055 * np.hypot(fast - 257.43, slow - 254.60)
    q = 2 * np.sin(0.5 * np.arctan(radius / 436.1)) / 0.02508
    model = FrameModel()
    geometry = frame_geometry(crystal[0][0])
    made = background_counts(geometry, 1.0, model.flat_fraction, model.background_width)
    vectors = scattering_vectors(geometry)

    def level(values, where, low):
        return np.median(values[(where >= low) & (where < low + 0.04)])

    points = (0.1, 0.2, 0.4, 0.7)
    ours, theirs = (
        np.array([level(v, w, p) for p in points])
        for v, w in ((made, vectors), (measured, q))
    )
    ratio = (ours / ours[0]) / (theirs / theirs[0])
    assert theirs[-1] < 0.05 * theirs[0]
    assert (np.abs(np.log(ratio)) < np.log(1.6)).all(), ratio


def test_the_background_has_its_mean_and_the_direct_beam_its_electrons(crystal):
    geometry = frame_geometry(crystal[0][0])
    level = FrameModel(background=2.5, direct_beam=0.0)
    assert still_counts(geometry, level).mean() == pytest.approx(2.5)
    beam = FrameModel(background=0.0, direct_beam=12_345.0, point_spread=2.0)
    assert still_counts(geometry, beam).sum() == pytest.approx(12_345.0)
    vectors = scattering_vectors(geometry)
    # The resolution that the table reaches is on the detector, at the edges.
    assert vectors[:, 0].min() > 1 / 1.2
    assert vectors.min() < 0.01


def test_the_beam_fluctuates_as_in_the_table(crystal):
    experiments, reflections = crystal
    empty = FrameModel(background=1.0, direct_beam=1e6)
    factors = dict(
        zip(
            np.floor(column(reflections, "xyzcal.px")[:, 2]).astype(int),
            column(reflections, "truth.image_factor"),
        )
    )
    assert np.ptp(list(factors.values())) > 0.2
    bare = reflections[:]
    bare["truth.expected"] = flex.double(len(bare), 0.0)
    frames = list(expected_frames(experiments[0], bare, empty))
    still = still_counts(frame_geometry(experiments[0]), empty).sum()
    assert [frame.image for frame in frames] == list(range(1, 13))
    for number, factor in factors.items():
        assert frames[number].expected.sum() == pytest.approx(still * factor)


def count_events(rng, electrons, dead_time, n):
    """Counts of a pixel in a second, electron by electron."""
    counts = []
    for _ in range(n):
        arrivals = np.sort(rng.random(rng.poisson(electrons)))
        last, counted = -1.0, 0
        for time in arrivals:
            if time - last > dead_time:
                last, counted = time, counted + 1
        counts.append(counted)
    return np.array(counts)


def test_dead_time_is_that_of_a_pixel_blind_after_each_electron():
    rng = np.random.default_rng(1)
    electrons, dead_time, n = 300.0, 1 / 400, 4000
    events = count_events(rng, electrons, dead_time, n)
    ours = record(rng, np.full(n, electrons), electrons * dead_time)
    error = np.sqrt(events.var() / n)
    assert ours.mean() == pytest.approx(events.mean(), abs=5 * error + 0.5)
    assert ours.std() == pytest.approx(events.std(), rel=0.06)
    assert ours.var() < 0.5 * ours.mean()  # Poisson's would be equal


def test_without_dead_time_counts_are_poissonian():
    rng = np.random.default_rng(1)
    counts = record(rng, np.full(40_000, 3.0))
    assert counts.mean() == pytest.approx(3.0, abs=0.05)
    assert counts.var() == pytest.approx(3.0, abs=0.12)
    assert record(rng, np.array([0.4, 2.6]), counting=False).tolist() == [0, 3]


def test_spots_lose_to_dead_time_what_the_table_says():
    noise = NoiseModel(mean_counts=1000, dead_time=5e-4, scale_spread=0.0)
    experiments, reflections = simulate(noise=noise)
    model = FrameModel(background=0.0, direct_beam=0.0, dead_time=5e-4)
    expected = column(reflections, "truth.expected")
    inner = column(reflections, "partiality") > 0.99
    rows = np.flatnonzero(inner & (column(reflections, "truth.recorded") < 0.98))
    assert len(rows) >= 3
    for row in rows:
        alone = reflections.select(flex.size_t([int(row)]))
        counted = sum(
            np.sum(frame.expected / (1 + frame.loss))
            for frame in expected_frames(experiments[0], alone, model)
        )
        told = column(alone, "truth.recorded")[0]
        # The table integrates the rate over the crossing, the frames take its mean.
        assert counted / expected[row] == pytest.approx(told, abs=0.01)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    experiments, reflections = simulate(2, scan_width=2.0)
    folder = tmp_path_factory.mktemp("pair")
    rng = np.random.default_rng(4)
    files = write_frames(experiments, reflections, folder / "images", rng=rng)
    assert [p.name for p in folder.iterdir()] == ["images"]
    return experiments, reflections, folder, files


def test_frames_do_not_depend_on_who_writes_them(pair, tmp_path):
    experiments, reflections, _, files = pair
    rng = np.random.default_rng(4)
    again = write_frames(
        experiments, reflections, tmp_path, rng=rng, resources=Resources(nproc=2)
    )
    assert [f.name for f in again] == [f.name for f in files]
    assert [f.read_bytes() for f in again] == [f.read_bytes() for f in files]
    assert len({f.read_bytes() for f in files}) == len(files) == 8


def test_another_crystal_changes_nothing(pair, tmp_path):
    experiments, reflections, _, files = pair
    first = ExperimentList([experiments[0]])
    alone = write_frames(
        first,
        reflections.select(reflections["id"] == 0),
        tmp_path,
        rng=np.random.default_rng(4),
    )
    assert [f.read_bytes() for f in alone] == [f.read_bytes() for f in files[:4]]


def test_named_frames_are_found_and_read(pair):
    experiments, _, folder, files = pair
    name_frames(experiments, folder / "images", "cbf")
    experiments.as_file(folder / "named.expt")
    # Opened with its images, as dials.image_viewer does.
    named = ExperimentListFactory.from_json_file(str(folder / "named.expt"))
    for index, experiment in enumerate(named):
        paths = [experiment.imageset.get_path(i) for i in range(4)]
        assert paths == [str(f) for f in files[4 * index : 4 * index + 4]]
        imageset = ImageSetFactory.new(paths)[0]
        assert np.isclose(imageset.get_beam().get_wavelength(), 0.02508)


@pytest.mark.parametrize("file_format", ["cbf", "smv"])
def test_saturation_is_told_and_marked(tmp_path, caplog, file_format):
    experiments, reflections = simulate(scan_width=2.0)
    with caplog.at_level("WARNING", "dials.spread"):
        files = write_frames(
            experiments,
            reflections,
            tmp_path,
            file_format=file_format,
            rng=np.random.default_rng(1),
            model=FrameModel(saturation=100),
        )
    assert "spots have saturated pixels" in caplog.text
    imageset = ImageSetFactory.new([str(f) for f in files])[0]
    for number in range(len(files)):
        good = imageset.get_mask(number)[0].as_numpy_array()
        counts = imageset.get_corrected_data(number)[0].as_numpy_array()
        assert counts[good].max() <= 100
        assert 10 < np.count_nonzero(~good) < 2000


def test_wrong_models_and_tables_are_refused(crystal, tmp_path):
    with pytest.raises(ValueError, match="background=-1, saturation=0"):
        FrameModel(background=-1, saturation=0)
    with pytest.raises(ValueError, match="direct_beam=nan"):
        FrameModel(direct_beam=float("nan"))
    experiments, reflections = crystal
    bare = reflections[:]
    del bare["truth.expected"]
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match=r"have no truth\.expected"):
        write_frames(experiments, bare, tmp_path / "x", rng=rng)
    with pytest.raises(ValueError, match="cbf or smv"):
        write_frames(
            experiments, reflections, tmp_path / "y", file_format="h5", rng=rng
        )
    assert not (tmp_path / "y").exists()


def test_spots_have_the_size_of_the_profile_model(crystal):
    assert spot_sigma(crystal[0][0]) == pytest.approx(0.8, rel=1e-6)


def test_frames_that_would_fill_the_disk_are_refused(tmp_path):
    check_room(tmp_path / "images", 10, 512)
    with pytest.raises(
        ValueError, match=r"take about 2097152000 GB, and [\d.]+ GB are"
    ):
        check_room(tmp_path / "images", 10**12, 1024, "smv")
