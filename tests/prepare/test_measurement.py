"""The Lorentz factor of precession against counting azimuths, and what is recognised."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dials.array_family import flex

from dials_spread.correction.apply.subject import lorentz_warning, precession_warning
from dials_spread.prepare.measurement import (
    LARGEST_X,
    Measurement,
    measurement_of,
    precession_rate,
)
from dials_spread.prepare.suitability import check_suitable
from dials_spread.valid_input.columns import PRECESSION

WAVELENGTH = 0.0251


def wave_vectors(angle: float, n: int = 400_000) -> np.ndarray:
    """The beam at n azimuths, along -z on average, shape (n, 3) [Å⁻¹]."""
    turn = 2 * np.pi * (np.arange(n) + 0.5) / n
    sin, cos = np.sin(angle), np.cos(angle)
    return np.array([sin * np.cos(turn), sin * np.sin(turn), 0 * turn - cos]).T / (
        WAVELENGTH
    )


@pytest.mark.parametrize("degrees", [0.3, 1.0, 2.5])
def test_the_factor_is_the_time_near_the_sphere(degrees):
    """Azimuths are counted at which a reflection is near the Ewald sphere."""
    rng, angle, K = np.random.default_rng(1), np.radians(degrees), 1 / WAVELENGTH
    k, compared = wave_vectors(angle), 0
    for _ in range(60):
        length = rng.uniform(0.15, 1.6)
        x = rng.uniform(-0.9, 0.9)
        # From the excitation error about the axis to the part of g along it.
        along = x * length * np.sin(angle) + length**2 / (2 * K)
        around = rng.uniform(0, 2 * np.pi)
        across = np.sqrt(length**2 - along**2)
        g = np.array([across * np.cos(around), across * np.sin(around), along])
        axis = np.array([0, 0, -K])
        centre = (K**2 - np.sum((axis + g) ** 2)) / (2 * K)
        errors = (K**2 - np.sum((k + g) ** 2, axis=1)) / (2 * K)
        near = 0.01 * length * np.sin(angle)
        time = np.mean(np.abs(errors) < near) / (2 * near)
        rate = precession_rate(
            np.array([length]), np.array([centre]), np.array([angle]), WAVELENGTH
        )
        compared += 1
        assert rate[0] * np.pi * time == pytest.approx(1, abs=0.02)
    assert compared == 60


def test_in_a_zone_it_is_that_of_vincent_and_midgley():
    """g √(1 - (g/2R)²), of a reflection across the axis; R is the radius of the cone."""
    angle = np.radians(2.0)
    g = np.linspace(0.1, 2.2, 12)
    R = np.sin(angle) / WAVELENGTH
    rate = precession_rate(g, -(g**2) * WAVELENGTH / 2, np.full(12, angle), WAVELENGTH)
    expected = g * np.sqrt(1 - (g / (2 * R)) ** 2)
    assert np.allclose(rate / rate[0], expected / expected[0], rtol=2e-3)


def test_beyond_its_range_a_reflection_keeps_the_factor_of_the_end():
    angle = np.full(2, np.radians(1.0))
    d_star = np.full(2, 0.8)
    near = np.array([1.5, -1.5]) * 0.8 * np.sin(angle)
    rate = precession_rate(d_star, near, angle, WAVELENGTH)
    assert np.allclose(rate, 0.8 * np.sin(angle) * np.sqrt(1 - LARGEST_X**2), rtol=1e-3)


class Scan:
    """A scan of images of a width [°]."""

    def __init__(self, width: float) -> None:
        self.width = width

    def get_oscillation(self) -> tuple[float, float]:
        """Start and width."""
        return 0.0, self.width


TURNED = SimpleNamespace(scan=Scan(0.5), goniometer=1)
WITHOUT_SCAN = SimpleNamespace(scan=None, goniometer=None)
ZERO_WIDTH = SimpleNamespace(scan=Scan(0.0), goniometer=1)


def table(angle: float | None = None, n: int = 4) -> flex.reflection_table:
    """Rows, with a semi-angle of precession [°] where one is given."""
    made = flex.reflection_table()
    made["id"] = flex.int(n, 0)
    if angle is not None:
        made[PRECESSION] = flex.double(n, angle)
    return made


@pytest.mark.parametrize("still", [WITHOUT_SCAN, ZERO_WIDTH])
def test_stills_are_recognised_and_refused(still, small):
    found = measurement_of([TURNED, still], [table(), table()])
    assert (found.kind, found.n_stills) == ("stills", 1)
    assert measurement_of([TURNED, still], [table(), table(n=0)]).kind == "rotation"
    with pytest.raises(
        ValueError, match="1 of . crystals are stills.*force=True"
    ) as no:
        check_suitable(small, measurement=found)
    assert len(str(no.value).splitlines()) == 1
    (told,) = check_suitable(small, force=True, measurement=found)
    assert told.startswith("Forced: 1 of ")
    assert check_suitable(small, measurement=Measurement("rotation")) == []
    for kind in ("rotation", "stepwise"):
        with pytest.raises(ValueError, match=f"{kind}, and 1 of 2 crystals did not"):
            measurement_of([TURNED, still], [table(), table()], kind)
    said = measurement_of([TURNED], [table()], "stills")
    assert (said.kind, said.n_stills) == ("stills", 0)
    with pytest.raises(ValueError, match="are of stills, says experiment=stills, and"):
        check_suitable(small, measurement=said)
    # A semi-angle makes no rotation of them.
    for how in (("auto", 1.0), ("precession", 1.0)):
        with pytest.raises(ValueError, match="precession, and 1 of 1 crystals did not"):
            measurement_of([still], [table()], *how)


def test_precession_is_recognised(caplog):
    found = measurement_of([TURNED] * 2, [table(0.8), table(1.0)])
    assert found.kind == "precession"
    assert found.mean_angle == pytest.approx(0.9)
    assert found.as_dict() == {"kind": "precession", "precession_angle": 0.9}
    given = measurement_of([TURNED] * 2, [table(), table()], precession_angle=0.7)
    assert given.kind == "precession" and given.mean_angle == pytest.approx(0.7)
    instead = measurement_of([TURNED], [table(0.8)], "precession", 1.2)
    assert instead.mean_angle == pytest.approx(1.2)
    assert "precession_angle=1.2 is taken instead of that of the reflections, 0.8°" in (
        caplog.text
    )
    assert measurement_of([TURNED], [table(0.8)], "rotation").kind == "rotation"
    assert measurement_of([TURNED], [table()]).as_dict()["precession_angle"] is None


@pytest.mark.parametrize(
    ("tables", "how", "words"),
    [
        ([table()], ("precession",), "experiment=precession needs the semi-angle"),
        ([table()], ("rotation", 1.0), "precession_angle=1 and experiment=rotation"),
        ([table()], ("stills", 1.0), "precession_angle=1 and experiment=stills"),
        ([table(1.0), table()], (), "1 of 2 crystals were measured with precession"),
        ([table(np.nan)], (), "4 of 4 reflections .* their semi-angle is not known"),
        ([table()], ("laue",), "experiment=laue is none of auto, rotation"),
    ],
)
def test_what_contradicts_itself_is_refused_in_one_line(tables, how, words):
    with pytest.raises(ValueError, match=words) as no:
        measurement_of([TURNED] * len(tables), tables, *how)
    assert len(str(no.value).splitlines()) == 1


def test_warnings_name_precession(small):
    told = precession_warning(0.117, 0.31)
    assert "precession than with that of a rotation" in told
    assert "0.117 instead of 0.310" in told and "precession_angle=" in told
    # Several frames of each crossing are as those of a beam that precesses.
    often = small.select(np.repeat(np.arange(len(small)), 2))
    told = lorentz_warning(often, -1.0, {-1.0: 0.1, 0.0: 0.2})
    assert told.endswith("If the beam precessed, precession_angle= says so.")
    without = replace(small, of_precession=True)
    told = lorentz_warning(without, 1.0, {1.0: 0.1, 0.0: 0.2})
    assert "0.100 instead of 0.200" in told and "experiment=rotation" in told
