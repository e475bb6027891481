"""
Corrected amplitudes of unique reflections as a file for programs that solve and refine.

A factor cannot make a negative intensity positive, so that some reflections of a corrected
table stay as they were. Here every reflection has the intensity F² that was found for it,
and σ = 2 F σ(F).

Functions:
    check_merged: before anything is computed
    merged_file: the content of the file
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np

from cctbx import crystal, miller
from cctbx.array_family import flex

from dials_spread.correction.apply.correct import CorrectionResult
from dials_spread.rfactor import amplitudes

ENDINGS = (".hkl", ".mtz")


def check_merged(params) -> None:
    """
    Refuse a merged file where there will be none, or of an unknown kind.

    Args:
        params: The extracted parameters, the mode chosen.

    Raises:
        ValueError: It cannot be written.
    """
    name = params.output.merged
    if name is None:
        return
    if Path(name).suffix.lower() not in ENDINGS:
        raise ValueError(f"output.merged={name} must end with {' or '.join(ENDINGS)}")
    if params.undo or params.mode == "validate" or len(params.reference) > 1:
        raise ValueError(
            f"output.merged={name} takes one compound that is corrected, by mode=apply "
            "or mode=train"
        )


def merged_intensities(result: CorrectionResult) -> miller.array:
    """
    Give F² and its σ.

    Args:
        result: A correction; at a strength below 1 the amplitudes are between those that
            were merged and those that were found, in the logarithm.
    """
    prepared, found = result.subject.prepared, result.estimate
    measured, plain = prepared.measured, amplitudes(prepared.merged)
    F = plain ** (1 - result.strength) * found.F**result.strength
    sigma = prepared.merged_sigma
    if found.sigma_F is not None:
        # Where F is nearly nought, F² is uncertain by σ(F)² all the same.
        own = 2 * F * found.sigma_F + found.sigma_F**2
        sigma = sigma ** (1 - result.strength) * own**result.strength
    symmetry = crystal.symmetry(
        unit_cell=measured.unit_cell, space_group=measured.space_group
    )
    h, k, l = (
        flex.int(np.ascontiguousarray(c, dtype=np.int32))
        for c in measured.unique_index.T
    )
    points = miller.set(
        symmetry, flex.miller_index(h, k, l), anomalous_flag=not measured.friedel
    )
    data, errors = (flex.double(np.ascontiguousarray(x)) for x in (F**2, sigma))
    return miller.array(points, data, errors).set_observation_type_xray_intensity()


def merged_file(result: CorrectionResult, name: str) -> bytes:
    """
    Give the content of a file.

    Args:
        result: A correction.
        name: Of the file: with .hkl SHELX HKLF 4, with .mtz columns I and SIGI.
    """
    array = merged_intensities(result)
    if Path(name).suffix.lower() == ".hkl":
        text = io.StringIO()
        array.export_as_shelx_hklf(text, normalise_if_format_overflow=True)
        return text.getvalue().encode("ascii")
    made = array.as_mtz_dataset(column_root_label="I").mtz_object()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "merged.mtz"
        made.write(str(path))
        return path.read_bytes()
