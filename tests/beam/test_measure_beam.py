"""The beam on images: simulated frames of a known beam, a measured sweep, no frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.beam import BeamRegion, measure_beam
from dials_spread.beam.files import NEVER_RECORDED, open_frames
from dials_spread.observations import build_observations

FRAMES = 10


def simulate(folder, file_format, direct_beam, seed=1):
    """Two crystals on frames of a beam that fluctuates by 30 %, and their truth."""
    from dials_spread.simulation.datasets import simulate_experiments
    from dials_spread.simulation.frames import FrameModel, name_frames, write_frames
    from dials_spread.simulation.noise import NoiseModel
    from dials_spread.simulation.structures import random_structure

    rng = np.random.default_rng(seed)
    experiments, table = simulate_experiments(
        random_structure(rng),
        rng,
        n_crystals=2,
        d_min=1.2,
        scan_width=FRAMES / 2,
        image_width=0.5,
        noise=NoiseModel(mean_counts=3000.0, image_spread=0.3),
    )
    model = FrameModel(background=3.0, direct_beam=direct_beam, direct_beam_size=2.0)
    write_frames(
        *(experiments, table, folder), file_format=file_format, rng=rng, model=model
    )
    name_frames(experiments, folder, file_format)
    # As dials.import would have it.
    first = open_frames([sorted(folder.iterdir())[0]], None, None)
    for experiment in experiments:
        panel, imported = experiment.detector[0], first.get_detector()[0]
        panel.set_trusted_range(imported.get_trusted_range())
        panel.set_pedestal(imported.get_pedestal())
    tables = [table.select(table["id"] == i) for i in range(2)]
    return [*experiments], tables


def truth(tables, images):
    """The beam's factor on each image."""
    values = np.full(len(images), np.nan)
    for c, table in enumerate(tables):
        z = np.floor(table["xyzcal.px"].parts()[2].as_numpy_array()).astype(int)
        own = np.flatnonzero(images.crystal == c)
        factor = table["truth.image_factor"].as_numpy_array()
        of_frame = dict(zip(z + 1, factor))
        values[own] = [of_frame[f] for f in images.first[own]]
    return values


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cbf")
    return *simulate(folder, "cbf", 4e5), folder


def measured(experiments, tables, **settings):
    observations = build_observations(experiments, tables, image_width=0)
    region = BeamRegion(**settings)
    return measure_beam(experiments, tables, observations.images, region), observations


@pytest.mark.slow
def test_the_known_beam_of_simulated_frames_is_found(simulated):
    experiments, tables, _ = simulated
    beam, observations = measured(experiments, tables, disc=0.05)
    assert (beam.reason, beam.disc_reason, beam.frames_missing) == ("", "", {})
    assert beam.frames_read == 2 * FRAMES
    factor = truth(tables, observations.images)
    assert np.ptp(np.log(factor)) > 0.5
    for found, precision in ((beam.annulus, 0.01), (beam.disc, 0.01)):
        assert np.std(np.log(found / factor)) < precision
    # Without a prediction the spots stand out of the background all the same.
    nothing = [t.select(t["id"] < 0) for t in tables]
    images = observations.images
    blind = measure_beam(experiments, nothing, images, BeamRegion())
    kept = measure_beam(experiments, nothing, images, BeamRegion(reject=0))
    left, blind_left = (np.std(np.log(b.annulus / factor)) for b in (kept, blind))
    assert blind_left < 0.5 * left
    assert blind.spot_share.max() == 0


@pytest.mark.slow
def test_workers_and_joined_frames_change_nothing(simulated):
    experiments, tables, _ = simulated
    fine, _ = measured(experiments, tables)
    observations = build_observations(experiments, tables, image_width=1.0)
    images, region = observations.images, BeamRegion()
    one, two = (
        measure_beam(experiments, tables, images, region, nproc=n) for n in (1, 3)
    )
    for name, column in vars(one).items():
        np.testing.assert_equal(getattr(two, name), column)
    assert (one.frames == 2).all()
    order = np.argsort(images.crystal * 1000 + images.first)
    pairs = fine.annulus.reshape(-1, 2).mean(axis=1)
    np.testing.assert_allclose(one.annulus[order], pairs, rtol=1e-12)


@pytest.mark.slow
def test_a_pedestal_is_taken_off_and_a_saturated_beam_is_named(tmp_path):
    experiments, tables = simulate(tmp_path, "smv", 6e6)
    beam, observations = measured(experiments, tables, disc=0.03)
    assert np.isnan(beam.disc).all()
    assert "saturates" in beam.disc_reason
    factor = truth(tables, observations.images)
    ratio = beam.annulus / factor
    # A pedestal left in would make the mean rise less than the beam does.
    slope = np.polyfit(np.log(factor), np.log(beam.annulus), 1)[0]
    assert slope == pytest.approx(1, abs=0.03)
    assert np.std(np.log(ratio)) < 0.01


def test_crystals_on_one_sweep_share_its_frames(simulated):
    experiments, tables, _ = simulated
    twice = [experiments[0], experiments[0]]
    tables = [tables[0], tables[0].select(tables[0]["id"] < 0)]
    observations = build_observations(twice, [tables[0], tables[0]], image_width=0)
    beam = measure_beam(twice, tables, observations.images, BeamRegion())
    assert beam.frames_read == FRAMES
    a, b = (observations.images.crystal == c for c in (0, 1))
    np.testing.assert_equal(beam.annulus[a], beam.annulus[b])
    np.testing.assert_equal(beam.spot_share[a], beam.spot_share[b])


def test_a_missing_frame_is_counted_and_the_rest_is_read(simulated, tmp_path):
    experiments, tables, folder = simulated
    observations = build_observations(experiments, tables, image_width=0)
    victim = sorted(folder.glob("simulated_0002_*"))[3]
    hidden = victim.rename(tmp_path / victim.name)
    other = sorted(folder.glob("simulated_0002_*"))[4]
    content = other.read_bytes()
    try:
        other.write_bytes(content[:300])
        args = (experiments, tables, observations.images, BeamRegion())
        beam = measure_beam(*args)
    finally:
        hidden.rename(victim)
        other.write_bytes(content)
    assert beam.reason == ""
    assert beam.frames_read == 2 * FRAMES - 2
    assert sum(beam.frames_missing.values()) == 2
    reasons = sorted(beam.frames_missing)
    assert reasons[0].startswith("Raw images simulated_0002_#####")
    assert reasons[1].startswith("The raw images cannot be read")
    assert np.isnan(beam.annulus).sum() == 2


def test_without_frames_there_is_a_sentence(simulated, tmp_path):
    experiments, tables, _ = simulated
    observations = build_observations(experiments, tables, image_width=0)
    images = replace(observations.images, first=observations.images.first + 500)
    images = replace(images, last=images.last + 500)
    beam = measure_beam(experiments, tables, images, BeamRegion())
    assert beam.reason.endswith("were not found.")
    assert beam.frames_read == 0
    assert np.isnan(beam.annulus).all()


def test_a_beam_off_the_detector_is_a_sentence(simulated):
    experiments, tables, _ = simulated
    beam, _ = measured(experiments, tables, annulus=(5000, 6000), unit="pixels")
    assert "beam centre is off the detector" in beam.reason
    assert beam.frames_read == 0


def test_the_measured_sweep_of_four_panels(read_measured, data_folder):
    experiments, tables = read_measured("cinchonine_images/integrated")
    folders = [data_folder / "cinchonine_images"]
    observations = build_observations([*experiments], tables, image_width=0)
    images = observations.images
    beam = measure_beam([*experiments], tables, images, BeamRegion(), folders)
    assert (beam.reason, beam.frames_read) == ("", 60)
    # All that dials.integrate took for background, at spots of the same resolution,
    # rises and falls with the annulus (it counts a frame, not the whole reflection).
    assert "saturates" in beam.disc_reason
    assert beam.disc_saturated.min() >= 4
    table = tables[0]
    d = table["d"].as_numpy_array()
    background = table["background.mean"].as_numpy_array()
    z = table["xyzcal.px"].parts()[2].as_numpy_array()
    frame = np.clip(np.floor(z).astype(int) + 1, 60, 119)
    level = dict(zip(images.first, beam.annulus))
    early, late = frame < 75, frame > 104
    resolution = (d > 1.0) & (d < 2.0)
    ours = np.mean([level[f] for f in frame[early & resolution]]) / np.mean(
        [level[f] for f in frame[late & resolution]]
    )
    theirs = np.mean(
        background[early & resolution] * d[early & resolution] ** -2
    ) / np.mean(background[late & resolution] * d[late & resolution] ** -2)
    assert ours == pytest.approx(theirs, rel=0.15)


def test_data_simulated_without_frames_lack_none():
    from dials_spread.simulation.datasets import simulate_experiments
    from dials_spread.simulation.structures import random_structure

    rng = np.random.default_rng(2)
    experiments, table = simulate_experiments(
        random_structure(rng), rng, n_crystals=1, d_min=2.0, scan_width=4.0
    )
    observations = build_observations([*experiments], [table], image_width=0)
    beam = measure_beam([*experiments], [table], observations.images, BeamRegion())
    assert beam.reason == NEVER_RECORDED and beam.frames_read == 0
