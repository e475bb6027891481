"""
Corrected amplitudes of unique reflections as a file for programs that solve and refine.

Intensities are means of F² over what F may be (model.posterior), with their standard
deviations, or what merging the observations leaves where that is more: the intensity that
least squares on F² want, F² and the variance of F. Amplitudes are the means of F. Neither is
ever negative; at strength 0, and by weights alone, intensities are merged as they are. Below
strength 1 their σ are from how equivalents differ.

Classes:
    MergedFiles: contents by name, and what is to be said of them

Functions:
    check_merged: before anything is computed
    merged_intensities, merged_amplitudes: F² and F, with their σ
    merged_files: the content of the files
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cctbx import crystal, miller
from cctbx.array_family import flex

from dials_spread.correction.apply.correct import CorrectionResult
from dials_spread.correction.apply.expected_r1 import plain_sigma
from dials_spread.correction.apply.parameters import SOLVE
from dials_spread.observations import Observations
from dials_spread.scattering.form_factors import parse_type
from dials_spread.shelx import instructions, write_hkl
from dials_spread.solution.composition import formula_units, parse_composition
from dials_spread.stages import stage

ENDINGS = (".hkl", ".mtz")

MADE_BY = "dials.ml_correct"
"""First word of TITL; an .ins file without it is somebody else's and is kept."""


@dataclass(frozen=True)
class MergedFiles:
    """
    Files of merged intensities.

    Attributes:
        contents: By name; empty where none was asked for.
        figures: For JSON; None where none was asked for.
        sentences: For the log.
    """

    contents: dict[str, bytes] = field(default_factory=dict)
    figures: dict | None = None
    sentences: tuple[str, ...] = ()


def check_merged(params) -> None:
    """
    Refuse a merged file where there will be none, or of an unknown kind.

    Args:
        params: The extracted parameters, the mode chosen.

    Raises:
        ValueError: It cannot be written.
    """
    name, composition = params.output.merged, params.output.composition
    if name is None:
        if composition is not None and params.structure != SOLVE:
            raise ValueError(
                "output.composition= is for the .ins file beside output.merged=*.hkl, "
                "which is not asked for"
            )
        return
    if Path(name).suffix.lower() not in ENDINGS:
        raise ValueError(f"output.merged={name} must end with {' or '.join(ENDINGS)}")
    if params.undo or params.mode == "validate" or len(params.reference) > 1:
        raise ValueError(
            f"output.merged={name} takes one compound that is corrected, by mode=apply "
            "or mode=train"
        )
    if composition is not None:
        parse_composition(composition)


def merged_intensities(result: CorrectionResult) -> miller.array:
    """
    Give F² and its σ.

    Args:
        result: A correction; at a strength below 1 intensities are between those that
            were merged and those that were found, in the logarithm. One that is not
            positive has none: it is then the mean of both with these weights. So at
            strength 0 they are the merged ones, negative where these are.
    """
    prepared, s = result.subject.prepared, result.strength
    measured, plain = prepared.measured, prepared.merged
    found, own = result.estimate.intensities()
    with np.errstate(invalid="ignore", divide="ignore"):
        I = np.abs(plain) ** (1 - s) * found**s
    I = np.where(plain > 0, I, (1 - s) * plain + s * found)
    sigma = plain_sigma(result.subject) if s < 1 else prepared.merged_sigma
    if own is not None:
        if result.merged_sigma is not None and s > 0:
            # What its own observations differ by leaves no less.
            own = np.maximum(own, result.merged_sigma)
        sigma = sigma ** (1 - s) * own**s
    return unique_array(measured, I, sigma).set_observation_type_xray_intensity()


def merged_amplitudes(result: CorrectionResult) -> miller.array | None:
    """
    Give the mean of F and its σ; None where that is not known of what is written.

    Args:
        result: A correction.
    """
    found = result.estimate
    if found.intensity is None or found.sigma_F is None or result.strength != 1:
        return None
    array = unique_array(result.subject.prepared.measured, found.F, found.sigma_F)
    return array.set_observation_type_xray_amplitude()


def unique_array(
    measured: Observations, values: np.ndarray, sigma: np.ndarray | None = None
) -> miller.array:
    """
    Give values of unique reflections as cctbx has them.

    Args:
        measured: With the indices of unique reflections.
        values, sigma: Shape (u,); without σ where there is none.
    """
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
    columns = [values] if sigma is None else [values, sigma]
    return miller.array(
        points, *(flex.double(np.ascontiguousarray(x)) for x in columns)
    )


@stage("Merged files")
def merged_files(
    result: CorrectionResult, output, more: Mapping[str, np.ndarray] | None = None
) -> MergedFiles:
    """
    Give the content of the files.

    Args:
        result: A correction.
        more: Shape (u,) each, further columns of .mtz by label.
        output: Names of files, as the command's ``output`` scope: merged with .hkl gives
            SHELX HKLF 4 and, where the composition is known, an .ins file beside it; with
            .mtz columns IMEAN and SIGIMEAN as dials.merge, and F and SIGF where known.
    """
    name = output.merged
    if not name:
        return MergedFiles()
    array = merged_intensities(result)
    if Path(name).suffix.lower() == ".hkl":
        return _shelx_files(result, array, name, output.composition)
    columns = {
        label: unique_array(result.subject.prepared.measured, column)
        for label, column in (more or {}).items()
    }
    given = (array, merged_amplitudes(result), _wavelength(result), columns)
    return MergedFiles({name: _mtz(*given)}, {"name": name, "n": array.size()})


def _wavelength(result: CorrectionResult) -> float:
    """Of the beam [Å]."""
    s0 = result.subject.observations.images.s0
    return float(1 / np.median(np.linalg.norm(s0, axis=1)))


def _mtz(
    array: miller.array,
    amplitudes: miller.array | None,
    wavelength: float,
    more: Mapping[str, miller.array],
) -> bytes:
    # Mates apart get (+) and (-) behind the label.
    label = "I" if array.anomalous_flag() else "IMEAN"
    made = array.as_mtz_dataset(
        column_root_label=label,
        wavelength=wavelength,
        crystal_name="XTAL",
        project_name="DIALS",
        dataset_name="corrected",
    )
    if amplitudes is not None:
        made.add_miller_array(amplitudes, column_root_label="F")
    for label, column in more.items():
        made.add_miller_array(column, column_root_label=label, column_types="R")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "merged.mtz"
        made.mtz_object().write(str(path))
        return path.read_bytes()


def _shelx_files(
    result: CorrectionResult, array: miller.array, name: str, composition: str | None
) -> MergedFiles:
    """The list, and the instructions beside it where the elements are known."""
    made = write_hkl(array)
    factor = f"{made.factor:g}"
    told = [f"{name}: F² and σ are multiplied by {factor} to fill F8.2 (HKLF 4)."]
    contents = {name: made.text.encode("ascii")}
    ins = str(Path(name).with_suffix(".ins"))
    try:
        text = _instructions(result, array, Path(name).stem, composition)
        if _is_of_others(Path(ins)):
            raise ValueError("there is one already that was not made by this program")
        contents[ins] = text.encode("ascii", "replace")
    except ValueError as error:
        told.append(f"{ins} is not written: {error}.")
    return MergedFiles(contents, {"name": name, **made.as_dict()}, tuple(told))


def _is_of_others(path: Path) -> bool:
    if not os.path.exists(path):
        return False
    start = path.read_bytes()[:80].decode("utf-8", "replace")
    return not start.startswith(f"TITL {MADE_BY} ")


def _instructions(
    result: CorrectionResult, array: miller.array, stem: str, composition: str | None
) -> str:
    """
    The text of the .ins file, without atoms.

    Raises:
        ValueError: The elements are not known, or the space group has no setting in SHELX.
    """
    contents, Z = _contents(result, array, composition)
    return instructions(
        array.crystal_symmetry(),
        _wavelength(result),
        contents,
        Z,
        title=f"{MADE_BY} {stem}",
    )


def _contents(
    result: CorrectionResult, array: miller.array, composition: str | None
) -> tuple[dict[str, float], float]:
    """Atoms by element in a formula unit, and Z: as given, or as the reference has them."""
    if composition is not None:
        given = parse_composition(composition)
        return given, formula_units(given, array.unit_cell(), array.space_group())
    truth = result.truth
    structure = truth and truth.match.believed and truth.reference.structure
    if not structure:
        raise ValueError(
            "SFAC and UNIT need output.composition=, as 'C 8 H 9 N O 2', or a structure "
            "as reference"
        )
    ratio = array.unit_cell().volume() / structure.unit_cell().volume()
    # A centred cell and its primitive one differ by a whole factor.
    ratio = round(ratio) if ratio > 1 else 1 / round(1 / ratio)
    in_cell: dict[str, float] = {}
    for scatterer in structure.scatterers():
        element = parse_type(scatterer.scattering_type)[0]
        share = scatterer.multiplicity() * scatterer.occupancy * ratio
        in_cell[element] = in_cell.get(element, 0.0) + share
    counts = np.array([*in_cell.values()])
    whole = np.rint(counts).astype(int)
    Z = int(np.gcd.reduce(whole)) if np.abs(counts - whole).max() < 0.01 else 1
    return {key: n / Z for key, n in in_cell.items()}, Z
