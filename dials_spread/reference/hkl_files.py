"""
SHELX .hkl files: what they hold is said by the .ins or .res file beside them.

After the manual of SHELXL (G. M. Sheldrick, SHELX-97 manual, chapter 7: HKLF n s r11 … r33
sm m).

Classes:
    Instructions: what the file beside says

Functions:
    read_instructions: of the file beside
    check_kind: refuse lists of twin domains and other kinds
    other_program: whether a list is of another program
    read_rows: the numbers of a list
    transformed: indices and scale as HKLF has them
"""

from __future__ import annotations

import io
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cctbx import crystal, miller
from cctbx.array_family import flex

from dials_spread.observations.table import as_flex

logger = logging.getLogger("dials.spread.reference")

REFUSED = {
    1: "a condensed list",
    2: "Laue data, each reflection with its own wavelength",
    5: "a twin, each intensity the sum over several domains",
    6: "a twin, each intensity the sum over several domains and equivalents",
}
"""Codes of HKLF that are no list of F or F² of single reflections."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d+)?")

XDS_ASCII = "!FORMAT=XDS_ASCII"
"""How a list of CORRECT or XSCALE of XDS begins."""

OTHERS = {
    "!OUTPUT_FILE=INTEGRATE.HKL": "intensities of XDS that are not scaled; give "
    "XDS_ASCII.HKL, or import it as data with dials.import_xds",
    "CrystFEL reflection list": "a list of CrystFEL; its get_hkl "
    "--output-format=mtz writes an .mtz file, which is read",
}
"""How lists of other programs begin, and what to do with them."""

WHOLE = 0.01
"""Transformed indices that are nearer to whole numbers belong to the lattice."""


@dataclass(frozen=True)
class Instructions:
    """
    What an .ins or .res file says of the .hkl file beside it.

    Attributes:
        source: Its name; empty where there is none.
        code: n of HKLF; None where that is not said.
        scale: s of HKLF, of F² and σ (HKLF 4) or F and σ (HKLF 3).
        sigma_scale: sm of HKLF, of σ alone.
        matrix: Shape (3, 3): indices in the cell of CELL are matrix @ (h, k, l).
        symmetry: CELL, LATT and SYMM; None without CELL.
        twin: Whether there is TWIN.
    """

    source: str = ""
    code: int | None = None
    scale: float = 1.0
    sigma_scale: float = 1.0
    matrix: np.ndarray = field(default_factory=lambda: np.eye(3))
    symmetry: crystal.symmetry | None = None
    twin: bool = False


def read_instructions(path: Path) -> Instructions:
    """
    Read what is said beside an .hkl file.

    Args:
        path: The .hkl file. The .ins file of that name is read, and the .res file where
            the .ins has no HKLF.

    Raises:
        ValueError: HKLF, CELL, LATT or SYMM cannot be understood.
    """
    first = Instructions()
    for ending in (".ins", ".res", ".INS", ".RES"):
        beside = path.with_suffix(ending)
        if beside.is_file():
            found = _of_file(beside)
            if found.code is not None:
                return found
            first = first if first.source else found
    return first


def _of_file(path: Path) -> Instructions:
    cards = _cards(path.read_bytes().decode("utf-8", "replace"))
    words = next((c for c in cards if c[0] == "HKLF"), None)
    hklf = {} if words is None else _hklf(words[1:], path)
    return Instructions(
        source=str(path),
        symmetry=_symmetry(cards, path),
        twin=any(c[0] == "TWIN" for c in cards),
        **hklf,
    )


def _cards(text: str) -> list[list[str]]:
    """Instructions to END as words, continued lines joined, the first word upper case."""
    cards, joined = [], ""
    for line in text.splitlines():
        if line[:1].isspace() and not joined:
            continue  # a remark
        upper = line[:4].upper().rstrip()
        told = line if upper in ("TITL", "REM") else line.split("!")[0].rstrip()
        if told.endswith("=") and upper not in ("TITL", "REM"):
            joined += told[:-1] + " "
            continue
        words, joined = (joined + told).split(), ""
        if words:
            words[0] = words[0].upper()
            cards.append(words)
            if words[0] == "END":
                break
    return cards


def _hklf(words: list[str], path: Path) -> dict:
    """Numbers of HKLF."""
    told = " ".join(["HKLF", *words])
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{path}: {told}: these are not all numbers") from None
    code = numbers[0] if numbers else 0.0
    if code != int(code):
        raise ValueError(f"{path}: {told}: the first number is no whole number")
    matrix = np.eye(3)
    if len(numbers) >= 11:
        matrix = np.reshape(numbers[2:11], (3, 3))
    elif len(numbers) > 2:
        raise ValueError(
            f"{path}: {told}: {len(numbers) - 2} numbers of the matrix, which has 9"
        )
    if np.linalg.det(matrix) < 1e-6:
        raise ValueError(
            f"{path}: {told}: the determinant of the matrix is "
            f"{np.linalg.det(matrix):.3g}; it must be positive"
        )
    scale = numbers[1] if len(numbers) > 1 else 1.0
    if not scale > 0:
        raise ValueError(f"{path}: {told}: the scale {scale:g} must be positive")
    return {
        "code": int(code),
        "scale": scale,
        "matrix": matrix,
        "sigma_scale": numbers[11] if len(numbers) > 11 else 1.0,
    }


def _symmetry(cards: list[list[str]], path: Path) -> crystal.symmetry | None:
    """Cell and space group by the reader of cctbx."""
    own = [c for c in cards if c[0] in ("CELL", "LATT", "SYMM")]
    if not any(c[0] == "CELL" for c in own):
        return None
    if not any(c[0] == "LATT" for c in own):
        own.insert(1, ["LATT", "1"])  # the default: a primitive lattice with a centre
    own.sort(key=lambda c: ("CELL", "LATT", "SYMM").index(c[0]))
    # The reader gives its result when another instruction comes.
    text = "\n".join(" ".join(c) for c in (*own, ["SFAC", "C"])) + "\n"
    from iotbx.shelx import crystal_symmetry_from_ins  # loads much, for few files

    try:
        found = crystal_symmetry_from_ins.extract_from(file=io.StringIO(text))
        if found is not None and found.unit_cell() and found.space_group():
            return found
    except Exception:  # the reader has many kinds
        logger.debug("Reading %s", path, exc_info=True)
    raise ValueError(
        f"{path}: CELL, LATT and SYMM do not give a unit cell and a space group"
    )


def other_program(path: Path) -> str:
    """
    Say whether a .hkl file is none of SHELX.

    Args:
        path: The file.

    Returns:
        XDS_ASCII; empty for a list of SHELX.

    Raises:
        ValueError: It is of a program whose lists are not read.
    """
    start = path.read_bytes()[:60].decode("ascii", "replace")
    if start.startswith(XDS_ASCII):
        return XDS_ASCII
    for words, why in OTHERS.items():
        if start.startswith(words):
            raise ValueError(f"{path}: {why}")
    return ""


def read_rows(path: Path, code: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Read a SHELX list as SHELXL does, by columns 4, 4, 4, 8 and 8 wide.

    The reader of cctbx takes 5 for “5x.00”, ends at a line that it cannot read, and does
    not know that a number without a decimal point has its last two digits behind it.

    Args:
        path: The .hkl file.
        code: n of HKLF, for the message.

    Returns:
        Indices, shape (n, 3); F or F² and σ, shape (n,), up to an empty line or 0 0 0.

    Raises:
        ValueError: A line cannot be understood; it is named.
    """
    rows = []
    text = path.read_bytes().decode("utf-8-sig", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            hkl = [int(line[k : k + 4].strip() or "0") for k in (0, 4, 8)]
            if hkl == [0, 0, 0]:
                break
            rows.append((*hkl, *(_decimal(line[k : k + 8]) for k in (12, 20))))
        except ValueError:
            raise ValueError(
                f"{path}: not a SHELX list (HKLF {code}: h, k, l, F or F², σ in columns "
                f"4, 4, 4, 8 and 8 wide); line {number} is “{line.strip()[:40]}”"
            ) from None
    if not rows:
        raise ValueError(f"{path}: no reflections before the first line of 0 0 0")
    table = np.array(rows)
    return table[:, :3].astype(int), table[:, 3].copy(), table[:, 4].copy()


def _decimal(field: str) -> float:
    """Read a number as F8.2 does: a decimal point overrules the two decimals."""
    word = field.strip().upper().replace("D", "E")
    if not _NUMBER.fullmatch(word or "0"):
        raise ValueError(field)
    value = float(word or "0")
    return value if "." in word else value / 100


def check_kind(path: Path, code: int, said: bool = True) -> None:
    """
    Refuse what is no list of single reflections.

    Args:
        path: The .hkl file.
        code: n of HKLF.
        said: Whether that was said, or only taken as usual.

    Raises:
        ValueError: It is of another kind than HKLF 3 and 4, or holds the numbers of twin
            domains.
    """
    if code not in (3, 4):
        why = REFUSED.get(code, "not followed by single reflections in a file")
        raise ValueError(
            f"{path}: HKLF {code} is {why}; give a list of F² of the untwinned crystal "
            "(HKLF 4) or of calculated amplitudes (.fcf)"
        )
    negative, number = _domains(path)
    # In HKLF 3 and 4 a batch number of -1 marks the reflections of R-free.
    if negative < -1 or (negative == -1 and number > 1 and not said):
        raise ValueError(
            f"{path}: {REFUSED[5]} (HKLF 5: batch number {negative}); give a list of F² "
            "of the untwinned crystal (HKLF 4) or of calculated amplitudes (.fcf)"
        )


def _domains(path: Path) -> tuple[int, int]:
    """The most negative and the largest number in columns 29 to 32."""
    numbers = [0]
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        if not line[:12].strip(" 0"):
            if line.strip():
                break  # 0 0 0 ends the list
            continue
        if re.fullmatch(r" *-?\d+ *", line[28:32]):
            numbers.append(int(line[28:32]))
    return min(numbers), max(numbers)


def transformed(array: miller.array, told: Instructions) -> miller.array:
    """
    Bring a list to the cell of CELL.

    Args:
        array: As it stands in the file.
        told: Of the file beside it.

    Returns:
        With the indices and the scale of HKLF. Reflections whose indices are not whole
        numbers then are left out, as SHELXL does.

    Raises:
        ValueError: None is left.
    """
    data, sigmas = array.data() * told.scale, array.sigmas()
    if sigmas is not None:
        sigmas = sigmas * (told.scale * told.sigma_scale)
    array = array.customized_copy(data=data, sigmas=sigmas)
    if np.allclose(told.matrix, np.eye(3)):
        return array
    hkl = array.indices().as_vec3_double().as_numpy_array() @ told.matrix.T
    whole = np.abs(hkl - np.rint(hkl)).max(axis=1) < WHOLE
    if not whole.any():
        raise ValueError(
            f"{told.source}: no index of {array.size()} is whole after the matrix of HKLF"
        )
    lost = int(np.count_nonzero(~whole))
    logger.info(
        "Indices are transformed by HKLF of %s%s.",
        told.source,
        f"; {lost} of {len(whole)} are no whole numbers then and left out"
        if lost
        else "",
    )
    kept = array.select(flex.bool(np.ascontiguousarray(whole)))
    return kept.customized_copy(indices=as_flex(np.rint(hkl[whole]).astype(int)))
