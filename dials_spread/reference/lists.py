"""
Reflection lists: MTZ, SHELX .hkl and .fcf, CIF.

A list may hold several columns. Calculated amplitudes are preferred to observed ones,
which have the errors of another measurement. A list from X-rays has X-ray amplitudes:
it is taken as it is, and R1 shows what that costs.

Functions:
    read_list: the array to be used, by the name of a file
    hklf_code: whether a SHELX .hkl file holds F or F²
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from cctbx import crystal, miller
from libtbx.utils import Sorry

from dials_spread.structures.cif_files import read_cif

logger = logging.getLogger("dials.spread.reference")

ENDINGS = (".mtz", ".hkl", ".fcf", ".cif", ".mmcif")
"""Files that may hold a reflection list."""

_CALCULATED = re.compile(r"calc|^FC$|^FC_|F-?model|^IC$|^FC[A-Z]*$", re.IGNORECASE)
_NO_TRUTH = re.compile(
    r"free|flag|status|phi|phase|fom|sigma|2FOFC|FOFC|FWT|^DEL|wt$|batch", re.IGNORECASE
)


def hklf_code(path: Path) -> int:
    """
    Say whether a SHELX .hkl file holds F (HKLF 3) or F² (HKLF 4).

    Args:
        path: The file; the .ins or .res file beside it, if there is one, has the
            instruction.

    Returns:
        3 or 4; 4, which is usual, where nothing tells.
    """
    for ending in (".ins", ".res"):
        beside = path.with_suffix(ending)
        if beside.is_file():
            text = beside.read_text(encoding="utf-8", errors="replace")
            found = re.search(r"^HKLF\s+(\d)", text, re.MULTILINE | re.IGNORECASE)
            if found and found[1] in "34":
                return int(found[1])
    return 4


def read_list(
    filename: str,
    symmetry: crystal.symmetry,
    hklf: int | None = None,
    column: str | None = None,
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

    Returns:
        Amplitudes of unique reflections, Friedel mates merged, and the label of what was
        taken.

    Raises:
        ValueError: The file cannot be read, or has nothing to be taken.
    """
    # Loading it takes longer than most of what is done without a list.
    from iotbx.reflection_file_reader import any_reflection_file

    path = Path(filename)
    name = filename
    if path.suffix.lower() == ".hkl":
        name = f"{filename}=hklf{hklf or hklf_code(path)}"
    try:
        if path.suffix.lower() in (".cif", ".mmcif", ".fcf"):
            read_cif(path)
        arrays = any_reflection_file(name).as_miller_arrays(crystal_symmetry=symmetry)
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
    merged = array.merge_equivalents().array()
    if array.is_xray_intensity_array():
        data = merged.data().deep_copy()
        data.set_selected(data < 0, 0.0)
        merged = merged.customized_copy(data=data).set_observation_type_xray_intensity()
        merged = merged.customized_copy(data=data**0.5)
    return merged.set_observation_type_xray_amplitude()
