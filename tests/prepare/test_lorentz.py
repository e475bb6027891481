from __future__ import annotations

import logging

import numpy as np
import pytest

from dials.array_family import flex

from dials_spread.correction.apply.subject import lorentz_warning
from dials_spread.observations import build_observations
from dials_spread.prepare.geometry import add_geometry, lorentz_missing
from dials_spread.prepare.prepared import check_lorentz, prepare
from dials_spread.rfactor.r1 import r_factors
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.structure_files import read_structure


def table_with_lp(values):
    table = flex.reflection_table()
    table["id"] = flex.int(len(values), 0)
    if values[0] is not None:
        table["lp"] = flex.double(values)
    return table


def test_provenance_decides():
    with_lp, ones = table_with_lp([0.01, 0.02]), table_with_lp([1.0, 1.0])
    without = table_with_lp([None])
    assert not lorentz_missing([with_lp])
    assert lorentz_missing([ones, without])
    assert not lorentz_missing([ones], "applied")
    assert lorentz_missing([with_lp], "missing")
    with pytest.raises(ValueError, match="1 of 2 reflection tables lack"):
        lorentz_missing([with_lp, ones])
    with pytest.raises(ValueError, match="lorentz=perhaps"):
        lorentz_missing([with_lp], "perhaps")


# Figures of the trial that preceded this program, to 0.7 Å; quartz has it already.
@pytest.mark.parametrize(
    "name, structure, with_factor, without",
    [
        ("quartz/scaled", "quartz", 0.234, None),
        ("abiraterone/integrated", "abiraterone", 0.270, 0.32),
        ("glycine/integrated", "glycine", 0.191, 0.26),
    ],
)
def test_r1_of_measured_sets(read_measured, name, structure, with_factor, without):
    experiments, tables = read_measured(name)
    # The trial had reflections next to the rotation axis, too.
    observations = build_observations(experiments, tables, min_zeta=0.0)

    def r1(lorentz):
        measured = add_geometry(observations, experiments, tables, lorentz)
        assert measured.lorentz_applied_here == (
            without is not None and lorentz == "auto"
        )
        measured = measured.select(measured.within(0.7))
        F = np.abs(structure_factors(read_structure(structure), measured.unique_index))
        merged = prepare(measured).with_damage.merged()
        zero = np.zeros(len(F))
        return r_factors(merged, zero, F, zero.astype(int), 1).r1[0]

    assert r1("auto") == pytest.approx(with_factor, abs=0.003)
    if without:
        assert r1("applied") == pytest.approx(without, abs=0.02)


def test_agreement_tells_of_a_missing_factor(small, caplog):
    best, found = check_lorentz(small)
    assert best == 0
    assert found[0.0] < 0.8 * min(found[1.0], found[-1.0])
    without = small.divided(small.rate)
    with caplog.at_level(logging.WARNING):
        best, found = check_lorentz(without)
    # It is told once, in the summary, and not on the way.
    assert best == 1 and not caplog.records
    told = lorentz_warning(without, best, found)
    assert told.startswith(
        "Observations agree better with one Lorentz factor more (R_meas with equal "
        f"weights {found[1.0]:.3f} instead of {found[0.0]:.3f})."
    )
    assert "lorentz=missing" in told and "lorentz=applied" in told
    less = lorentz_warning(without, -1.0, found)
    assert "one Lorentz factor less" in less
    assert "precession_angle=" not in less + told


def test_stills_cannot_get_the_factor(read_measured):
    experiments, tables = read_measured("cunir_stills/integrated")
    observations = build_observations(experiments, tables)
    with pytest.raises(ValueError, match="are on stills"):
        add_geometry(observations, experiments, tables, "missing")
