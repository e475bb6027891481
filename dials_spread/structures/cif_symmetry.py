"""
Cell and space group of a CIF.

The reader of iotbx lets the number of the space group overrule its symbol, which loses the
setting (P 21/n becomes P 21/c), and does not know the codes of settings.

Functions:
    items_of: a block with core names, lower case, loops as lists
    known: whether a value says anything
    number: of a value, without its standard uncertainty
    symmetries: those that a block allows, likeliest first
"""

from __future__ import annotations

import logging
import re

from cctbx import crystal, sgtbx, uctbx
from iotbx.cif.model import block as CifBlock

logger = logging.getLogger("dials.spread.structures")

Items = dict[str, "str | list[str]"]

_NUMBER = re.compile(r"^([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\([^)]*\))?$")
# "R -3 m :H", "F d -3 m S" and "R 3 c HR" of databases; digits only after a colon.
_SUFFIX = re.compile(r"^(.*?\S)\s*(?::\s*([12HRSZ])|\s([HRSZ])S?)$", re.IGNORECASE)
_ORIGINS = {"S": "1", "Z": "2"}


def items_of(block: CifBlock) -> Items:
    """Give a block with names as in core CIF: `_cell.length_a` is `_cell_length_a`."""
    return {
        key.lower().replace(".", "_", 1): value
        if isinstance(value := block[key], str)
        else [str(entry) for entry in value]
        for key in block
    }


def known(value: str | None) -> bool:
    """Whether a value says anything: "." and "?" do not."""
    return value is not None and value.strip() not in ("", ".", "?")


def number(value: str, what: str) -> float:
    """
    A number of a CIF, without its standard uncertainty.

    Args:
        value: As it stands there.
        what: Where, for the message.

    Raises:
        ValueError: It is none.
    """
    found = _NUMBER.match(value.strip())
    if not found:
        raise ValueError(f"{what} is {value}, which is no number")
    return float(found[1])


def symmetries(items: Items, where: str) -> list[crystal.symmetry]:
    """
    Find cell and space group.

    Args:
        items: Of a block.
        where: File and block, for messages.

    Returns:
        One symmetry; two where the symbol leaves the choice of origin open.

    Raises:
        ValueError: There is none, or cell and space group do not fit.
    """
    groups = _groups(items, where)
    lengths = [items.get(f"_cell_length_{x}") for x in "abc"]
    edges = [
        number(x, f"{where}: _cell_length")
        for x in lengths
        if isinstance(x, str) and known(x)
    ]
    if len(edges) < 3:
        raise ValueError(f"{where}: no unit cell (_cell_length_a, _b and _c)")
    angles = [items.get(f"_cell_angle_{x}") for x in ("alpha", "beta", "gamma")]
    told = [x if isinstance(x, str) and known(x) else None for x in angles]
    fitting = []
    for group in groups:
        # An angle that is not given is 90°, or what the hexagonal axes ask for.
        for gamma in (90.0, 120.0):
            defaults = (90.0, 90.0, gamma)
            given = [
                default if x is None else number(x, f"{where}: _cell_angle")
                for x, default in zip(told, defaults)
            ]
            try:
                cell = uctbx.unit_cell((*edges, *given))
            except RuntimeError:
                raise ValueError(f"{where}: there is no such unit cell") from None
            if group.is_compatible_unit_cell(cell):
                fitting.append(crystal.symmetry(unit_cell=cell, space_group=group))
                break
    if not fitting:
        cell = ", ".join(f"{x:g}" for x in (*edges, *given))
        raise ValueError(
            f"{where}: the unit cell ({cell}) is not one of space group "
            f"{groups[0].info()}; correct either"
        )
    return fitting


def _first(items: Items, *names: str):
    for name in names:
        value = items.get(name)
        if isinstance(value, list) and any(known(entry) for entry in value):
            return value
        if isinstance(value, str) and known(value):
            return value
    return None


def _groups(items: Items, where: str) -> list[sgtbx.space_group]:
    symbol = _first(
        *(items, "_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m"),
        *("_space_group_name_h-m_full", "_space_group_name_h-m_ref"),
    )
    operations = _first(
        *(items, "_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz"),
    )
    hall = _first(items, "_space_group_name_hall", "_symmetry_space_group_name_hall")
    numbered = _first(items, "_space_group_it_number", "_symmetry_int_tables_number")
    code = _first(items, "_space_group_it_coordinate_system_code") or ""
    named = _named(symbol, code) if isinstance(symbol, str) else []
    if not named and isinstance(numbered, str) and numbered.isdigit():
        if 1 <= int(numbered) <= 230:
            named = _named(
                sgtbx.space_group_symbols(int(numbered)).hermann_mauguin(), code
            )
    if operations is not None:
        group = _expanded(operations, where)
        if named and all(g.order_z() != group.order_z() for g in named):
            logger.warning(
                "%s: the symmetry operations are those of %s, and the symbol says %s; "
                "the operations are taken.",
                *(where, group.info(), symbol or numbered),
            )
        return [group]
    if isinstance(hall, str):
        try:
            return [sgtbx.space_group(hall.strip())]
        except RuntimeError:
            logger.debug("Hall symbol %s", hall, exc_info=True)
    if not named:
        told = f" ({symbol or numbered})" if symbol or numbered else ""
        raise ValueError(
            f"{where}: no symmetry operations and no space group symbol that is "
            f"understood{told}; give _space_group_symop_operation_xyz"
        )
    return named


def _expanded(operations: str | list[str], where: str) -> sgtbx.space_group:
    group = sgtbx.space_group()
    for told in [operations] if isinstance(operations, str) else operations:
        try:
            group.expand_smx(sgtbx.rt_mx(told))
        except (RuntimeError, ValueError):
            raise ValueError(
                f"{where}: symmetry operation {told} is not understood"
            ) from None
    return group


def _named(symbol: str, code: str) -> list[sgtbx.space_group]:
    """Groups of a Hermann-Mauguin symbol; two where the origin is not said."""
    plain = re.sub(r"[~_]", "", symbol).strip()
    choice = ""
    if found := _SUFFIX.match(plain):
        plain, choice = found[1], (found[2] or found[3]).upper()
        choice = _ORIGINS.get(choice, choice)
    code = code.strip().lower()
    origin, setting = (code[:1], code[1:]) if code[:1] in ("1", "2") else ("", code)
    if not choice:
        choice = origin or {"h": "H", "r": "R"}.get(setting, "")
    try:
        standard = sgtbx.space_group_symbols(plain)
    except (RuntimeError, ValueError):
        return []
    if setting not in ("", "h", "r"):
        for other in sgtbx.space_group_symbol_iterator():
            same = other.number() == standard.number()
            if same and other.qualifier().lower() == setting:
                if choice in ("", other.extension().strip("\0")):
                    return [sgtbx.space_group(other.hall())]
    choices = {"1": "21", "2": "21", "H": "HR", "R": "HR"}.get(standard.extension(), "")
    if choice and choice in choices:
        choices = choice
    if not choices:
        return [sgtbx.space_group(standard.hall())]
    full = standard.hermann_mauguin()
    return [sgtbx.space_group_info(f"{full} :{x}").group() for x in choices]
