"""Space groups of a CIF in all the ways they are told, for all settings there are."""

from __future__ import annotations

import pytest

from cctbx import sgtbx

from dials_spread.structures.cif_symmetry import symmetries


def ways(setting) -> list[dict[str, str]]:
    """Symbol with code, symbol with colon, number with code, and Hall symbol."""
    extension = setting.extension().strip("\0")
    code = extension.lower() + setting.qualifier()
    symbol = setting.hermann_mauguin()
    colon = f":{extension}" if extension else ""
    coded = {"_space_group_it_coordinate_system_code": code or "?"}
    return [
        {"_space_group_name_h-m_alt": symbol, **coded},
        {"_symmetry_space_group_name_h-m": symbol + colon},
        {"_space_group_it_number": str(setting.number()), **coded},
        {"_space_group_name_hall": setting.hall()},
    ]


@pytest.mark.slow
def test_all_settings_in_every_way():
    count = 0
    for setting in sgtbx.space_group_symbol_iterator():
        group = sgtbx.space_group(setting.hall())
        cell = group.info().any_compatible_unit_cell(1000).parameters()
        names = ("length_a", "length_b", "length_c")
        names += ("angle_alpha", "angle_beta", "angle_gamma")
        given = {f"_cell_{name}": f"{x:.6f}" for name, x in zip(names, cell)}
        for way in ways(setting):
            (found,) = symmetries({**given, **way}, "x")
            assert found.space_group() == group, (setting.hall(), way)
        count += 1
    assert count == 530  # International Tables A, as listed in cctbx


@pytest.mark.parametrize(
    "symbol,allowed",
    [("F d -3 m", "21"), ("P n n n", "21"), ("P 4/n m m", "21"), ("I 41/a", "21")],
)
def test_two_origins_are_both_offered(symbol, allowed):
    group = sgtbx.space_group_info(symbol)
    cell = group.any_compatible_unit_cell(1000).parameters()
    names = ("length_a", "length_b", "length_c")
    names += ("angle_alpha", "angle_beta", "angle_gamma")
    items = {f"_cell_{name}": f"{x:.6f}" for name, x in zip(names, cell)}
    found = symmetries({**items, "_space_group_name_h-m_alt": symbol}, "x")
    assert [str(s.space_group_info())[-1] for s in found] == [*allowed]
