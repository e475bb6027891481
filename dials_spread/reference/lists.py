"""
Reflection lists: MTZ, SHELX .hkl and .fcf, CIF.

A list may hold several columns. Calculated amplitudes are preferred to observed ones,
which have the errors of another measurement. A list from X-rays has X-ray amplitudes:
it is taken as it is, and R1 shows what that costs.

Functions:
    read_list: the array to be used, by the name of a file
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from cctbx import crystal, miller
from cctbx.array_family import flex
from libtbx.utils import Sorry

from dials_spread.observations.table import as_flex
from dials_spread.reference.hkl_files import (
    XDS_ASCII,
    check_kind,
    other_program,
    read_instructions,
    read_rows,
    transformed,
)
from dials_spread.structures.cif_files import cif_reader

logger = logging.getLogger("dials.spread.reference")

ENDINGS = (".mtz", ".hkl", ".fcf", ".cif", ".mmcif")
"""Files that may hold a reflection list."""

_CALCULATED = re.compile(r"calc|^FC$|^FC_|F-?model|^IC$|^FC[A-Z]*$", re.IGNORECASE)
_WHOLE_NUMBERS = re.compile(r"_refln.F_squared_(calc|meas)|_refln.intensity")
"""Columns that hold intensities even where all of them are whole numbers."""

_NO_TRUTH = re.compile(
    r"free|flag|status|phi|phase|fom|sigma|2FOFC|FOFC|FWT|^DEL|wt$|batch", re.IGNORECASE
)


def read_list(
    filename: str,
    symmetry: crystal.symmetry,
    hklf: int | None = None,
    column: str | None = None,
    block: str | None = None,
) -> tuple[miller.array, str]:
    """
    Read the amplitudes of a reflection list.

    Args:
        filename: Name of the file.
        symmetry: Cell and space group of what is compared with, for lists that do not
            have their own.
        hklf: 3 or 4: what a SHELX .hkl file holds; told by its .ins or .res file by
            default.
        column: Label of the column, or part of it; chosen by default.
        block: The data block of a CIF that holds several lists.

    Returns:
        Amplitudes of unique reflections, Friedel mates merged, and the label of what was
        taken.

    Raises:
        ValueError: The file cannot be read, or has nothing to be taken.
    """
    path = Path(filename)
    try:
        if path.suffix.lower() == ".hkl":
            arrays = _of_hkl(path, symmetry, hklf)
        elif path.suffix.lower() in (".cif", ".mmcif", ".fcf"):
            arrays = _of_cif(path, symmetry, block)
        else:
            arrays = _any_file(filename, symmetry)
    except (ValueError, OSError):
        raise
    except (Exception, Sorry) as error:  # each reader of cctbx has its own kinds
        logger.debug("Reading %s", filename, exc_info=True)
        reason = (" ".join(str(error).split()) or type(error).__name__)[:120]
        raise ValueError(f"{filename}: cannot be read ({reason})") from None
    if not arrays:
        empty = not path.stat().st_size
        told = "the file is empty" if empty else "neither atoms nor reflections in it"
        raise ValueError(f"{filename}: {told}")
    usable = [a for a in arrays if _is_usable(a)]
    if column is not None:
        usable = [a for a in usable if column in _label(a)]
    if not usable:
        found = ", ".join(_label(a) for a in arrays)
        wanted = f" called {column}" if column else ""
        raise ValueError(
            f"{filename}: no amplitudes or intensities{wanted} (there is: {found})"
        )
    chosen = max(usable, key=_preference)
    logger.info("%s: %s is taken.", filename, _label(chosen))
    return _unique_amplitudes(chosen, filename), _label(chosen)


def _any_file(name: str, symmetry: crystal.symmetry) -> list[miller.array]:
    """All arrays of a file, by its kind."""
    # Loading it takes longer than most of what is done without a list.
    from iotbx.reflection_file_reader import any_reflection_file

    return any_reflection_file(name).as_miller_arrays(crystal_symmetry=symmetry)


def _of_hkl(
    path: Path, symmetry: crystal.symmetry, hklf: int | None
) -> list[miller.array]:
    """The array of a SHELX file, as the instructions beside it say."""
    kind = other_program(path)
    if kind == XDS_ASCII:
        arrays = _any_file(str(path), symmetry)
        return [a for a in arrays if a.is_xray_intensity_array()]
    told = read_instructions(path)
    code = hklf or told.code or 4
    check_kind(path, code, said=bool(hklf or told.code))
    # Cell and space group of the .ins: the data may be in another setting.
    own = told.symmetry or symmetry
    # In the file's own indices, so without its symmetry; nothing is merged yet.
    arrays = [_shelx_array(path, code, own)]
    if told.source:
        logger.info("%s: read as %s says (HKLF %d).", path, told.source, code)
    if told.twin:
        logger.warning(
            "%s: %s has TWIN: the intensities are of a twin, and are taken as they are.",
            path,
            told.source,
        )
    changed = [transformed(a, told).set_info(a.info()) for a in arrays]
    return [
        a.set_observation_type_xray_amplitude()
        if code == 3
        else a.set_observation_type_xray_intensity()
        for a in changed
    ]


def _shelx_array(path: Path, code: int, symmetry: crystal.symmetry) -> miller.array:
    """The array of a SHELX file, in its own indices."""
    hkl, values, sigmas = read_rows(path, code)
    listed = miller.set(symmetry, as_flex(hkl), anomalous_flag=False)
    array = miller.array(listed, flex.double(values), flex.double(sigmas))
    what = "F" if code == 3 else "I"
    info = miller.array_info(source=str(path), labels=[f"{what}obs", f"Sig{what}obs"])
    return array.set_info(info)


def _of_cif(
    path: Path, symmetry: crystal.symmetry, block: str | None
) -> list[miller.array]:
    """The arrays of the only data block with reflections, or of the one named."""
    reader = cif_reader(path)
    model = reader.model()
    with_lists = [
        key for key in model if any(f"_refln{dot}index_h" in model[key] for dot in "._")
    ]
    if block is not None and block not in with_lists:
        raise ValueError(
            f"{path}: no list of reflections in a block called {block}; there are: "
            f"{', '.join(with_lists) or 'none'}"
        )
    if block is None and len(with_lists) > 1:
        raise ValueError(
            f"{path}: several lists, choose one with cif_block=: {', '.join(with_lists)}"
        )
    found: list[miller.array] = []
    if not with_lists:
        return found
    for array in reader.as_miller_arrays(crystal_symmetry=symmetry):
        labels = list(array.info().labels or [])
        # Of several blocks the first label is the name of the block.
        own = labels.pop(0) if labels and labels[0] in model else None
        if own in (None, block or own):
            whole = array.is_integer_array() and _WHOLE_NUMBERS.search(",".join(labels))
            info = array.info().customized_copy(labels=labels)
            if whole:
                array = array.customized_copy(data=array.data().as_double())
                array.set_observation_type_xray_intensity()
            found.append(array.set_info(info))
    return found


def _label(array: miller.array) -> str:
    labels = array.info().labels if array.info() is not None else None
    return ",".join(labels or ["unnamed"])


def _is_usable(array: miller.array) -> bool:
    """Say whether an array may be amplitudes or intensities."""
    if _NO_TRUTH.search(_label(array).split(",")[0]) or not array.size():
        return False
    if array.is_complex_array():
        return True
    if not array.is_real_array() or array.is_bool_array() or array.is_integer_array():
        return False
    return array.is_xray_amplitude_array() or array.is_xray_intensity_array()


def _preference(array: miller.array) -> tuple[bool, bool, int]:
    """Rank arrays: calculated ones before observed ones, intensities before √ of them."""
    calculated = bool(_CALCULATED.search(_label(array))) or array.is_complex_array()
    return calculated, array.is_xray_intensity_array(), array.size()


def _unique_amplitudes(array: miller.array, filename: str) -> miller.array:
    """Give F of the unique reflections, from F or I, merged and unmerged."""
    if array.unit_cell() is None or array.space_group() is None:
        raise ValueError(f"{filename}: neither cell nor space group are known")
    array = array.select(array.indices() != (0, 0, 0)).eliminate_sys_absent()
    if array.is_complex_array():
        array = array.amplitudes()
    elif array.is_xray_amplitude_array():
        array = array.customized_copy(sigmas=None).set_observation_type_xray_amplitude()
    else:
        # Negative intensities stay in the mean of equivalent ones.
        array = array.customized_copy(sigmas=None)
    finite = (array.data() > -1e30) & (array.data() < 1e30)
    array = array.select(finite).as_non_anomalous_array().map_to_asu()
    if not array.size():
        raise ValueError(f"{filename}: no reflections are left that can be present")
    if array.is_xray_intensity_array() and not (array.data() > 0).count(True):
        raise ValueError(
            f"{filename}: none of {array.size()} intensities is positive; were all "
            "multiplied by -1?"
        )
    merged = array.merge_equivalents().array()
    if array.is_xray_intensity_array():
        data = merged.data().deep_copy()
        data.set_selected(data < 0, 0.0)
        merged = merged.customized_copy(data=data).set_observation_type_xray_intensity()
        merged = merged.customized_copy(data=data**0.5)
    return merged.set_observation_type_xray_amplitude()
