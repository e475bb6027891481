"""Files of frames, read by dxtbx, by fabio and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import dxtbx.model
from dials.array_family import flex
from dxtbx.imageset import ImageSetFactory
from dxtbx.model.experiment_list import Experiment, ExperimentListFactory

from dials_spread.simulation.geometry import electron_beam, rotation_scan
from dials_spread.simulation.image_files import (
    HIGHEST,
    SMV_HEADER_BYTES,
    SMV_PEDESTAL,
    SUFFIXES,
    frame_geometry,
    write_image,
)

FORMATS = sorted(SUFFIXES)


def experiment(**changed):
    """A small off-centre detector, and whatever is changed."""
    models = {
        "beam": electron_beam(0.0196875),
        "detector": dxtbx.model.DetectorFactory.simple(
            sensor="PAD",
            distance=612.345,
            beam_centre=(3.21, 4.32),
            fast_direction="+x",
            slow_direction="-y",
            pixel_size=(0.055, 0.055),
            image_size=(128, 96),
            trusted_range=(-1, 1e9),
        ),
        "goniometer": dxtbx.model.GoniometerFactory.known_axis((1, 0, 0)),
        "scan": rotation_scan(6.0, 0.75, scan_start=-12.5),
    }
    return Experiment(**{**models, **changed})


@pytest.fixture
def counts():
    values = np.random.default_rng(3).poisson(0.7, (96, 128))
    # Differences of one, two and four bytes, both ways.
    values[10, 20:26] = (200, 40_000, 3, 64_000, 130, 0)
    return values


def write_scan(folder, counts, file_format, saturation=64_500):
    geometry = frame_geometry(experiment())
    files = []
    for image in range(1, 9):
        files.append(folder / f"a_{image:03d}{SUFFIXES[file_format]}")
        write_image(files[-1], counts + image, geometry, image, saturation, file_format)
    return files


@pytest.mark.parametrize("file_format", FORMATS)
def test_dxtbx_reads_the_geometry_that_was_written(tmp_path, counts, file_format):
    files = write_scan(tmp_path, counts, file_format)
    (found,) = ExperimentListFactory.from_filenames([str(f) for f in files])
    truth = experiment()
    assert found.beam.get_wavelength() == pytest.approx(0.0196875, abs=1e-9)
    np.testing.assert_allclose(found.beam.get_s0(), truth.beam.get_s0(), rtol=1e-8)
    assert found.beam.get_polarization_fraction() == 0.5
    assert found.goniometer.get_rotation_axis() == (1, 0, 0)
    assert found.scan.get_image_range() == (1, 8)
    assert found.scan.get_oscillation() == pytest.approx((-12.5, 0.75))
    assert list(found.scan.get_exposure_times()) == pytest.approx([1.0] * 8)
    np.testing.assert_allclose(np.diff(found.scan.get_epochs()), 1.0)
    panel, wanted = found.detector[0], truth.detector[0]
    np.testing.assert_allclose(
        np.array(panel.get_d_matrix()), np.array(wanted.get_d_matrix()), rtol=1e-5
    )
    assert panel.get_pixel_size() == pytest.approx((0.055, 0.055))
    assert panel.get_image_size() == (128, 96)
    assert panel.get_gain() == 1.0
    # Sensors are a source of error: rays must meet the pixels that they met.
    for x, y in ((0.0, 0.0), (127.0, 3.0), (60.0, 95.0)):
        ray = wanted.get_pixel_lab_coord((x, y))
        seen = panel.millimeter_to_pixel(panel.get_ray_intersection(ray))
        assert seen == pytest.approx((x, y), abs=0.01)


@pytest.mark.parametrize("file_format", FORMATS)
def test_dxtbx_reads_the_counts_and_trusts_zeros_but_no_saturation(
    tmp_path, counts, file_format
):
    files = write_scan(tmp_path, counts, file_format, saturation=63_000)
    imageset = ImageSetFactory.new([str(f) for f in files])[0]
    for number in (0, 7):
        wanted = counts + number + 1
        corrected = imageset.get_corrected_data(number)[0].as_numpy_array()
        good = imageset.get_mask(number)[0].as_numpy_array()
        assert (good == (wanted <= 63_000)).all()
        assert np.count_nonzero(~good) == 1
        np.testing.assert_array_equal(corrected[good], wanted[good])


def test_zero_counts_are_trusted(tmp_path, counts):
    for file_format in FORMATS:
        file = tmp_path / f"b_001{SUFFIXES[file_format]}"
        geometry = frame_geometry(experiment())
        write_image(file, 0 * counts, geometry, 1, 1000, file_format)
        imageset = ImageSetFactory.new([str(file)])[0]
        assert imageset.get_mask(0)[0].count(False) == 0
        # From dxtbx 3.14 on counts below one are dead pixels of ADSC detectors.
        raw = imageset.get_raw_data(0)[0]
        assert flex.min(raw) >= (1 if file_format == "smv" else 0)


def test_fabio_reads_the_same(tmp_path, counts):
    fabio = pytest.importorskip("fabio")
    (cbf, *_) = write_scan(tmp_path, counts, "cbf")
    (smv, *_) = write_scan(tmp_path, counts, "smv")
    image = fabio.open(str(cbf))
    np.testing.assert_array_equal(image.data, counts + 1)
    told = image.header["_array_data.header_contents"]
    assert "Angle_increment 0.750000 deg." in told
    image = fabio.open(str(smv))
    np.testing.assert_array_equal(image.data, counts + 1 + SMV_PEDESTAL)
    assert float(image.header["WAVELENGTH"]) == pytest.approx(0.0196875)


def test_an_smv_file_is_a_header_and_pixels(tmp_path, counts):
    content = write_scan(tmp_path, counts, "smv")[0].read_bytes()
    assert len(content) == SMV_HEADER_BYTES + 2 * counts.size
    assert content.startswith(b"{\nHEADER_BYTES= 1024;\n")
    first = int.from_bytes(content[SMV_HEADER_BYTES : SMV_HEADER_BYTES + 2], "little")
    assert first == counts[0, 0] + 1 + SMV_PEDESTAL


def test_sparse_counts_take_a_byte_each(tmp_path, counts):
    geometry = frame_geometry(experiment())
    file = tmp_path / "c.cbf"
    write_image(file, np.minimum(counts, 100), geometry, 1, 1000)
    assert file.stat().st_size < counts.size + 6000


def turned_axis():
    return {"goniometer": dxtbx.model.GoniometerFactory.known_axis((0, 1, 0))}


def two_panels():
    detector = dxtbx.model.Detector()
    for _ in range(2):
        detector.add_panel(experiment().detector[0])
    return {"detector": detector}


def tilted_beam():
    return {"beam": dxtbx.model.BeamFactory.make_beam(s0=(1.0, 0.0, -40.0))}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (turned_axis, r"rotation axis is along \(0.0000, 1.0000, 0.0000\)"),
        (two_panels, "one panel, not of 2"),
        (tilted_beam, "the beam is along"),
        (lambda: {"scan": None}, "not of stills"),
    ],
)
def test_what_the_headers_cannot_say_is_refused(changed, told):
    with pytest.raises(ValueError, match=told):
        frame_geometry(experiment(**changed()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"file_format": "tiff"}, "cbf or smv, not as tiff"),
        ({"counts": np.zeros((128, 96), int)}, r"shape \(128, 96\)"),
        ({"saturation": 0}, "saturation of 0"),
        ({"saturation": HIGHEST["smv"] + 1, "file_format": "smv"}, "smv can hold"),
    ],
)
def test_what_files_cannot_hold_is_refused(tmp_path, counts, change, told):
    arguments = {
        "counts": counts,
        "geometry": replace(frame_geometry(experiment()), first_image=5),
        "image": 5,
        "saturation": 1000,
        "file_format": "cbf",
        **change,
    }
    with pytest.raises(ValueError, match=told):
        write_image(tmp_path / "d.cbf", **arguments)
    assert not list(tmp_path.iterdir())
