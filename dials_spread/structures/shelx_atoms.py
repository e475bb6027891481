"""
Atoms of SHELX files, with what the instructions before them say of them.

Classes:
    AtomState: the instructions in force

Functions:
    atom_words: an atom as the parser of iotbx takes it
    numbers_of: words as numbers
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field

_PEAK = re.compile(r"^Q\d+$", re.IGNORECASE)

# Defaults of SHELXL: fully occupied, not refined; U [Å²].
SOF, U_ISO = 11.0, 0.05


def numbers_of(words: list[str], where: str) -> list[float]:
    """
    Give words as numbers.

    Raises:
        ValueError: One is none.
    """
    found = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{where}: {word} is no number") from None
        found.append(value)
    return found


@dataclass
class AtomState:
    """
    The instructions in force for the next atom.

    Attributes:
        elements: By SFAC.
        variables: Of FVAR; the first is the scale.
        general: Some atoms were in a PART of negative number.
    """

    elements: list[str]
    variables: list[float]
    general: bool = False
    _shift: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)
    _part_sof: float | None = None
    _afix_sof: float | None = None
    _afix_u: float | None = None
    _residue: str = ""
    _pivot: bool = False
    _met: Counter = field(default_factory=Counter)

    def apply(self, key: str, words: list[str], where: str) -> None:
        """Take an instruction."""
        if key == "RESI":
            # Class, number and alias in any order; the number is the first one.
            numbers = [w for w in words[1:] if re.match(r"^([A-Za-z]:)?\d+$", w)]
            self._residue = numbers[0] if numbers and numbers[0] != "0" else ""
        elif key in ("MOVE", "PART", "AFIX"):
            told = numbers_of(words[1:], f"{where}: {key}")
            if key == "MOVE" and len(told) > 3 and abs(told[3]) != 1:
                raise ValueError(f"{where}: MOVE has the sign {told[3]:g}, not 1 or -1")
            getattr(self, f"_{key.lower()}")(told)
            self._met[key] += key == "MOVE"

    def _move(self, told: list[float]) -> None:
        defaults = (0.0, 0.0, 0.0, 1.0)
        self._shift = (*told[:4], *defaults[len(told[:4]) :])

    def _part(self, told: list[float]) -> None:
        self._part_sof = told[1] if len(told) > 1 else None
        self.general = self.general or bool(told and told[0] < 0)

    def _afix(self, told: list[float]) -> None:
        self._afix_sof = told[2] if len(told) > 2 else None
        self._afix_u = told[3] if len(told) > 3 else None

    def label(self, name: str) -> str:
        """Name of an atom, with its residue."""
        return f"{name}_{self._residue}" if self._residue else name

    def value(self, code: float, where: str) -> float:
        """What a parameter is worth: 10 + p is p, 10m + p is p times free variable m."""
        m = math.floor((abs(code) + 5) / 10)
        p = abs(code) - 10 * m
        if m == 0:
            return code
        if m == 1 and code < 0:
            raise ValueError(f"{where}: {code:g} is no parameter of SHELXL")
        if m == 1:
            return p
        if m > len(self.variables):
            raise ValueError(
                f"{where}: {code:g} needs free variable {m}; complete FVAR"
            )
        return (
            p * self.variables[m - 1] if code > 0 else p * (1 - self.variables[m - 1])
        )

    def notes(self) -> list[str]:
        """What the user should know of the atoms."""
        peaks, moved = self._met["peaks"], self._met["moved"]
        return [
            *([f"peaks of the difference map left out (Q): {peaks}"] if peaks else []),
            *([f"atoms moved by MOVE: {moved}"] if moved else []),
        ]


def atom_words(words: list[str], state: AtomState, where: str) -> list[str] | None:
    """
    Write an atom as the parser takes it.

    Args:
        words: Name, number of the element, coordinates, occupancy and displacement; the
            last two need not be there.
        state: The instructions in force.
        where: File and line, for messages.

    Returns:
        The words after the name; None for a peak of the difference map.

    Raises:
        ValueError: One line.
    """
    name = words[0]
    if _PEAK.match(name):
        state._met["peaks"] += 1
        return None
    try:
        told = numbers_of(words[1:], f"{where}: atom {name}")
    except ValueError:
        if len(words) > 1 and re.match(r"^[-+]?\d+$", words[1]):
            raise
        told = []
    if len(told) < 4:
        raise ValueError(
            f"{where}: {name} is no instruction of SHELXL, nor an atom with element and "
            "coordinates"
        )
    if told[0] != int(told[0]) or not 1 <= told[0] <= len(state.elements):
        raise ValueError(
            f"{where}: atom {name} is of element {told[0]:g}, but SFAC has "
            f"{len(state.elements)}"
        )
    site, shape = told[1:4], told[5:]
    sof = told[4] if len(told) > 4 else SOF
    if state._afix_sof is not None:
        sof = state._afix_sof
    if state._part_sof is not None:
        sof = state._part_sof
    if len(shape) < 6:
        if len(shape) > 2:
            raise ValueError(
                f"{where}: atom {name} has {len(shape)} of 6 numbers for U"
            )
        # A second number is the height of a peak.
        u = shape[0] if shape else U_ISO
        shape = [u if state._afix_u is None else state._afix_u]
    _check_riding(shape, state, f"{where}: atom {name}")
    for code in (*site, sof, *shape[:6]):
        state.value(code, f"{where}: atom {name}")
    if state._shift != (0.0, 0.0, 0.0, 1.0):
        site = _moved(site, state, f"{where}: atom {name}", where)
    return [f"{told[0]:.0f}", *(repr(x) for x in (*site, sof, *shape[:6]))]


def _moved(site: list[float], state: AtomState, atom: str, where: str) -> list[float]:
    """Give coordinates after MOVE, none of which may look like a code."""
    sign = state._shift[3]
    found = [s + sign * state.value(x, where) for s, x in zip(state._shift, site)]
    if not all(abs(x) < 5 for x in found):
        raise ValueError(
            f"{atom} is moved to {', '.join(f'{x:g}' for x in found)} by MOVE, which is "
            "in none of the cells around"
        )
    state._met["moved"] += 1
    return found


def _check_riding(shape: list[float], state: AtomState, where: str) -> None:
    """See that U of -1.2 has an atom before it, whose U it multiplies."""
    if len(shape) == 1 and -5 < shape[0] < -0.5:
        if not state._pivot:
            raise ValueError(
                f"{where}: U of {shape[0]:g} is a multiple of that of the atom before, "
                "and there is none"
            )
    else:
        state._pivot = True
