"""Amplitudes by a sum over the atoms of the cell that shares no code with the program."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cctbx import crystal, xray
from cctbx.array_family import flex

HKL = np.array(
    [(1, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 1), (2, -1, 3), (-3, 2, 1), (4, 2, -2)]
    + [(1, 2, -3), (0, 4, 1), (2, 2, 2), (3, 1, 1), (4, 0, 0), (-1, 3, 5)]
)


def _row(text: str) -> tuple[list[float], float]:
    """One component of an operation: factors of x, y, z, and the translation."""
    factors, shift = [0.0, 0.0, 0.0], 0.0
    for sign, axis, number in re.findall(
        r"([+-]?)(?:([xyz])|(\d+/\d+|\d*\.?\d+))", text.lower().replace(" ", "")
    ):
        value = -1.0 if sign == "-" else 1.0
        if axis:
            factors["xyz".index(axis)] += value
        else:
            top, _, below = number.partition("/")
            shift += value * float(top) / float(below or 1)
    return factors, shift


def _form_factor(element: str, s: np.ndarray) -> np.ndarray:
    """From the table of cctbx, which the program takes too."""
    dummy = xray.structure(
        crystal_symmetry=crystal.symmetry((9, 9, 9, 90, 90, 90), "P 1"),
        scatterers=flex.xray_scatterer([xray.scatterer("X", scattering_type=element)]),
    )
    gaussian = dummy.scattering_type_registry(table="electron").gaussian(element)
    return np.array([gaussian.at_stol(x) for x in s])


@pytest.fixture(scope="session")
def direct_sum():
    """|F| of HKL: from a cell, operations as text, and (element, x, y, z, occ, U)."""

    def amplitudes(cell, operations, atoms, hkl=HKL) -> np.ndarray:
        a, b, c = cell[:3]
        ca, cb, cg = np.cos(np.radians(cell[3:]))
        metric = np.array(
            [[a * a, a * b * cg, a * c * cb], [a * b * cg, b * b, b * c * ca],
             [a * c * cb, b * c * ca, c * c]]
        )  # fmt: skip
        reciprocal = np.linalg.inv(metric)
        star = np.sqrt(np.diag(reciprocal))
        s = 0.5 * np.sqrt(np.einsum("ni,ij,nj->n", hkl, reciprocal, hkl))
        F = np.zeros(len(hkl), dtype=complex)
        for element, x, y, z, occupancy, u in atoms:
            f = occupancy * _form_factor(element, s)
            places: list[np.ndarray] = []
            for operation in operations:
                rows = [_row(part) for part in operation.split(",")]
                turn = np.array([row[0] for row in rows])
                place = turn @ (x, y, z) + [row[1] for row in rows]
                apart = [p - place - np.rint(p - place) for p in places]
                if any(np.all(np.abs(d) < 2e-3) for d in apart):
                    continue  # a special position
                places.append(place)
                h = hkl @ turn
                if np.ndim(u):
                    tensor = np.array(
                        [[u[0], u[3], u[4]], [u[3], u[1], u[5]], [u[4], u[5], u[2]]]
                    )
                    q = h * star
                    fall = np.exp(
                        -2 * np.pi**2 * np.einsum("ni,ij,nj->n", q, tensor, q)
                    )
                else:
                    fall = np.exp(-8 * np.pi**2 * u * s**2)
                F += f * fall * np.exp(2j * np.pi * (hkl @ place))
        return np.abs(F)

    return amplitudes


@pytest.fixture(scope="session")
def read_amplitudes():
    """|F| of HKL, and the structure, as the program reads a file."""
    from dials_spread.scattering.structure_factors import structure_factors
    from dials_spread.structures.structure_files import read_structure

    def read(path, hkl=HKL, block=None):
        structure = read_structure(str(path), block)
        return np.abs(structure_factors(structure, hkl)), structure

    return read


@pytest.fixture(scope="session")
def cases(data_folder):
    folder = data_folder.parent / "cases"
    if not folder.is_dir():
        pytest.skip("no folder of small cases beside the measured data")
    return folder
