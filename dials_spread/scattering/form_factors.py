"""
Scattering of fast electrons by atoms and ions.

Electrons see the charge of the nucleus and of the electrons about it, so by Mott and
Bethe f_e = C (Z - f_x) / s² with the X-ray form factor f_x, s = sin θ / λ = |g| / 2 and
C = 1 / (8π² a_0). Neutral atoms are tabulated themselves (International Tables C,
4.3.2.2). An ion differs from its atom by the electrons that it lost or gained, so that

    f_ion(s) = f_atom(s) + C δ(s) / s²,    δ(s) = f_x,atom(s) - f_x,ion(s),

which goes to the charge where s goes to zero: f diverges like C Δz / s², as the field of
a charge does (Peng (1998), Acta Cryst. A54, 481). δ comes from the X-ray form factors of
Waasmaier & Kirfel (1995), Acta Cryst. A51, 416, made to be the charge exactly at s = 0,
since any remainder would be divided by s².

Charges between those of the table are interpolated linearly. Where the table has no ion
of the element and sign (carbon, nitrogen, sulphur; cations of oxygen), the electrons are
taken from, or added to, the valence shell without changing its shape.

Functions:
    parse_type, type_name: a scattering type such as Na1+ or O0.5-
    xray_form_factor: of the table
    charge_shift: δ(s)
    ionic_term: C δ(s) / s², what a charge adds to the neutral atom
    electron_form_factor: of an atom or an ion
"""

from __future__ import annotations

import re

import numpy as np

from cctbx.eltbx import e_scattering, tiny_pse, xray_scattering

# 1 / (8π² a_0) [1/Å], a_0 the Bohr radius (CODATA 2018).
MOTT_BETHE = 1.0 / (8 * np.pi**2 * 0.529177210903)

# Below this s [1/Å] the finite part of an ion's form factor is its limit: d > 50 Å.
SMALL = 0.01
ZERO = np.zeros(1)

# Closed shells of light elements whose valence electrons are shared: elements from the
# first to the last atomic number, the ion that has this core, its atomic number, and
# the screening that gives its neighbours' cores when s is scaled by Z less the
# screening (Li+ from Be2+ to 0.008 electrons, Al3+ from Si4+ to 0.03, Ga3+ from Ge4+ to
# 0.12, In3+ from Sn4+ to 0.2).
_CORES = (
    (5, 9, "Be2+", 4, 0.4),
    (14, 17, "Si4+", 14, 4.0),
    (33, 35, "Ge4+", 32, 14.3),
    (51, 53, "Sn4+", 50, 26.7),
)
_TYPE = re.compile(r"^([A-Z][a-z]?)(?:(\d*\.?\d*)([+-]))?$")


def parse_type(scattering_type: str) -> tuple[str, float]:
    """
    Split a scattering type into element and charge.

    Args:
        scattering_type: As in cctbx, and with fractions: "Na", "Na1+", "Cl-", "O0.5-".

    Raises:
        ValueError: It is no element with a charge, or the element has no electron form
            factor.
    """
    name = {"Hiso": "H", "D": "H", "Cval": "C", "Sival": "Si"}.get(
        scattering_type, scattering_type
    )
    match = _TYPE.match(name)
    if not match or match[1] not in known_elements():
        raise ValueError(f"{scattering_type} has no electron form factor.")
    if match[3] is None:
        return match[1], 0.0
    # A sign alone is one charge, as in Cl-.
    size = float(match[2]) if match[2] not in ("", ".") else 1.0
    return match[1], size if match[3] == "+" else -size


def type_name(element: str, charge: float) -> str:
    """The scattering type for `parse_type` to read; charges to four decimals."""
    size = f"{abs(charge):.4f}".rstrip("0").rstrip(".")
    if size == "0":
        return element
    return f"{element}{size}{'+' if charge > 0 else '-'}"


def known_elements() -> set[str]:
    """Symbols of all elements that have an electron form factor."""
    return set(e_scattering.ito_vol_c_2011_table_4_3_2_2_elements())


def xray_form_factor(label: str, s: np.ndarray) -> np.ndarray:
    """
    The X-ray form factor of Waasmaier & Kirfel.

    Args:
        label: An entry of the table, such as "C", "Na1+" or "Hiso".
        s: sin θ / λ [1/Å], any shape.

    Returns:
        Electrons, of the shape of s.
    """
    gaussian = xray_scattering.wk1995(label, True).fetch()
    a, b = (np.array(x) for x in (gaussian.array_of_a(), gaussian.array_of_b()))
    squared = np.square(np.asarray(s, dtype=float))
    return np.exp(-squared[..., None] * b) @ a + gaussian.c()


def listed_charges(element: str) -> dict[float, str]:
    """The ions of an element in the table: label by charge, the atom included."""
    listed = {0.0: "Hiso" if element == "H" else element}
    for entry in xray_scattering.wk1995_iterator():
        match = _TYPE.match(entry.label())
        if match and match[1] == element and match[3]:
            listed[parse_type(entry.label())[1]] = entry.label()
    return listed


def charge_shift(element: str, charge: float, s: np.ndarray) -> np.ndarray:
    """
    The electrons that an ion lost, as X-rays see them: δ(s), the charge at s = 0.

    Args:
        element: Symbol.
        charge: In elementary charges; fractions are interpolated linearly between the
            neighbouring ions of the table.
        s: sin θ / λ [1/Å], any shape.

    Raises:
        ValueError: The element cannot bear that charge.
    """
    s = np.asarray(s, dtype=float)
    if charge == 0:
        return np.zeros(s.shape)
    if element == "H" and 0 < charge <= 1:
        return charge * xray_form_factor("Hiso", s) / xray_form_factor("Hiso", ZERO)[0]
    listed = listed_charges(element)
    same_sign = sorted((q for q in listed if q * charge > 0), key=abs)
    larger = [q for q in same_sign if abs(q) >= abs(charge)]
    if not larger:
        if not same_sign:
            return _valence_shift(element, charge, s)
        raise ValueError(_too_large(element, charge, same_sign[-1]))
    outer = larger[0]
    inner = max((q for q in (0.0, *same_sign) if abs(q) < abs(charge)), key=abs)
    weight = (charge - inner) / (outer - inner)
    return (1 - weight) * _listed_shift(listed, inner, s) + weight * _listed_shift(
        listed, outer, s
    )


def _listed_shift(listed: dict[float, str], charge: float, s: np.ndarray) -> np.ndarray:
    """δ of an ion in the table, scaled by some 0.1 % to be the charge at s = 0."""
    if charge == 0:
        return np.zeros(s.shape)
    atom, ion = listed[0.0], listed[charge]
    shift = xray_form_factor(atom, s) - xray_form_factor(ion, s)
    at_zero = xray_form_factor(atom, ZERO) - xray_form_factor(ion, ZERO)
    return shift * charge / at_zero[0]


def _valence_shift(element: str, charge: float, s: np.ndarray) -> np.ndarray:
    """
    δ where the table has no ion: the valence shell keeps its shape.

    It is the atom less its closed inner shells, whose form factor is that of an ion
    with the same shells, contracted like the effective charges of the nuclei.
    """
    Z = tiny_pse.table(element).atomic_number()
    core = next((c for c in _CORES if c[0] <= Z <= c[1]), None)
    if core is None:
        raise ValueError(
            f"{type_name(element, charge)} has no form factor: neither an ion of that "
            "sign is tabulated nor are its valence electrons known apart."
        )
    _, _, label, Z_core, screening = core
    atom = xray_form_factor(element, np.append(s.ravel(), 0.0))
    contracted = np.append(s.ravel(), 0.0) * (Z_core - screening) / (Z - screening)
    valence = atom - xray_form_factor(label, contracted)
    n_valence = round(valence[-1])
    largest = n_valence if charge > 0 else n_valence - 8
    if abs(charge) > abs(largest):
        raise ValueError(_too_large(element, charge, largest))
    return (charge * valence[:-1] / valence[-1]).reshape(s.shape)


def _too_large(element: str, charge: float, largest: float) -> str:
    return (
        f"{type_name(element, charge)} has no form factor: the largest charge of this "
        f"sign that {element} can have is {largest:+g}."
    )


def ionic_term(element: str, charge: float, s: np.ndarray) -> np.ndarray:
    """
    What a charge adds to the electron form factor of the neutral atom: C δ(s) / s².

    Args:
        element: Symbol.
        charge: In elementary charges.
        s: sin θ / λ [1/Å], any shape. At s = 0 the divergent part C Δz / s² is left
            out, which a neutral cell as a whole does not have; what stays is the limit
            of C (δ(s) - Δz) / s².

    Returns:
        [Å], of the shape of s.
    """
    s = np.asarray(s, dtype=float)
    at_origin = s == 0
    used = np.where(at_origin, SMALL, s)
    shift = charge_shift(element, charge, used) - np.where(at_origin, charge, 0.0)
    return MOTT_BETHE * shift / used**2


def electron_form_factor(element: str, charge: float, s: np.ndarray) -> np.ndarray:
    """
    The electron form factor of an atom or an ion.

    Args:
        element: Symbol.
        charge: In elementary charges.
        s: sin θ / λ [1/Å], any shape; at s = 0 see `ionic_term`.

    Returns:
        [Å], of the shape of s.
    """
    gaussian = e_scattering.ito_vol_c_2011_table_4_3_2_2_entry_as_gaussian(element)
    a, b = (np.array(x) for x in (gaussian.array_of_a(), gaussian.array_of_b()))
    squared = np.square(np.asarray(s, dtype=float))
    neutral = np.exp(-squared[..., None] * b) @ a + gaussian.c()
    return neutral + ionic_term(element, charge, s)
