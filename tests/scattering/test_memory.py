from __future__ import annotations

import numpy as np
import pytest

from cctbx import uctbx

from dials_spread.scattering.beams import BeamSelection, rotation_step
from dials_spread.scattering.bloch import excitation_errors
from dials_spread.scattering.memory import available_memory, check_memory, estimate_size
from dials_spread.scattering.potential import indices_within
from dials_spread.scattering.scans import BLOCK

PARACETAMOL = uctbx.unit_cell((11.805, 17.164, 7.393, 90, 90, 90))
PROTEIN = uctbx.unit_cell((78, 78, 37, 90, 90, 90))


def test_the_number_of_beams_is_that_of_a_block():
    selection = BeamSelection()
    size = estimate_size(PARACETAMOL, 0.9, 400.0, selection)
    beams = indices_within(PARACETAMOL, 1.2 / 0.9)
    g = beams @ np.array(PARACETAMOL.fractionalization_matrix()).reshape(3, 3)
    angles = rotation_step(0.9, 400.0, selection.step_factor) * np.arange(BLOCK)
    counts = []
    for seed in range(5):
        turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
        k = np.stack([0 * angles, np.sin(angles), np.cos(angles)], axis=1) / 0.02508
        s = excitation_errors(g @ turn.T, k)
        counts.append(np.any(np.abs(s) <= selection.s_max, axis=1).sum())
    assert size.beams == pytest.approx(np.mean(counts), rel=0.2)
    assert size.coefficients == pytest.approx(
        len(indices_within(PARACETAMOL, 2.4 / 0.9)), rel=0.02
    )


def test_what_does_not_fit_is_refused_with_its_size():
    with pytest.raises(ValueError, match=r"225,\d{3} Å³ to d_min=0.8 Å needs") as error:
        check_memory(PROTEIN, 0.8, 400.0, BeamSelection(), 2, free=8_000_000_000)
    told = str(error.value)
    assert "beams" in told and "for each of 2 processes, and 8 GB are free" in told
    assert "\n" not in told


def test_what_fits_is_told_and_grows_with_cell_and_processes():
    selection = BeamSelection()
    small = check_memory(PARACETAMOL, 0.9, 400.0, selection, 2, free=2_000_000_000)
    assert estimate_size(PROTEIN, 0.9, 400.0, selection).total > 1000 * small.total
    with pytest.raises(ValueError):
        check_memory(PARACETAMOL, 0.9, 400.0, selection, 10_000, free=2_000_000_000)


def test_the_memory_of_this_machine():
    free = available_memory()
    assert free is None or 10_000_000 < free < 10**15
