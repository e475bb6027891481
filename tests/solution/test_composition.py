from __future__ import annotations

import pytest

from cctbx import sgtbx, uctbx

from dials_spread.solution.composition import formula_units, parse_composition


@pytest.mark.parametrize(
    "text",
    ["C 8 H 9 N 1 O 2", "C8H9NO2", "C8 H9 N O2", "C 8, H 9, N 1, O 2", " C8H9N1O2 "],
)
def test_spellings_of_paracetamol(text):
    assert parse_composition(text) == {"C": 8, "H": 9, "N": 1, "O": 2}


def test_two_letters_and_fractions():
    assert parse_composition("Na2 Al2Si3O12H4") == {
        **{"Na": 2, "Al": 2, "Si": 3, "O": 12, "H": 4}
    }
    assert parse_composition("CO2") == {"C": 1, "O": 2}
    assert parse_composition("Fe0.9O")["Fe"] == 0.9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C8 Xx2", "Xx is no element"),
        ("C8 C2", "C stands there twice"),
        ("C0", "0 atoms of C"),
        ("H2", "no atom but hydrogen"),
        ("", "no atom but hydrogen"),
        ("C8 -2", "cannot be read from '-2'"),
        ("c8h9", "cannot be read from 'c8h9'"),
    ],
)
def test_what_cannot_be_read(text, message):
    with pytest.raises(ValueError, match=message):
        parse_composition(text)


@pytest.mark.parametrize(
    ("composition", "cell", "group", "Z"),
    [
        # Published: paracetamol II, α-quartz, α-glycine, abiraterone acetate, natrolite.
        ("C8H9NO2", (11.805, 17.164, 7.393, 90, 90, 90), "P c a b", 8),
        ("SiO2", (4.913, 4.913, 5.405, 90, 90, 120), "P 31 2 1", 3),
        ("C2H5NO2", (5.107, 12.04, 5.46, 90, 111.82, 90), "P 1 21/n 1", 4),
        ("C26H33NO2", (7.47, 9.689, 30.2, 90, 90, 90), "P 21 21 21", 4),
        ("Na2Al2Si3O12H4", (18.3, 18.63, 6.6, 90, 90, 90), "F d d 2", 8),
    ],
)
def test_formula_units_of_published_structures(composition, cell, group, Z):
    found = formula_units(
        parse_composition(composition),
        uctbx.unit_cell(cell),
        sgtbx.space_group_info(group).group(),
    )
    assert found == Z


@pytest.mark.parametrize(
    ("composition", "edge", "fits"), [("C26H33NO2", 4.84, False), ("C8", 3.57, True)]
)
def test_a_cell_too_small_for_the_composition_is_told(composition, edge, fits):
    """29 atoms into the cell of quartz do not go, the eight of diamond do into theirs."""
    cell = uctbx.unit_cell((edge, edge, edge, 90, 90, 90))
    given = parse_composition(composition), cell, sgtbx.space_group_info("P 1").group()
    if fits:
        assert formula_units(*given) == 1
        return
    with pytest.raises(ValueError, match="29 atoms other than hydrogen do not go into"):
        formula_units(*given)
