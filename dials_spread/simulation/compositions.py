"""Random compositions of organic, mixed and inorganic compounds."""

from __future__ import annotations

import numpy as np

KINDS = ("organic", "mixed", "inorganic")

# Volume of an atom and its share of hydrogen [Å³]: in molecular crystals about 18
# (Kempster & Lipson (1972), Acta Cryst. B28, 3674), in oxides and halides 9 to 25.
ATOMIC_VOLUMES = {
    "organic": (15.0, 22.0),
    "mixed": (14.0, 22.0),
    "inorganic": (9.0, 25.0),
}

# The most elements other than hydrogen in the asymmetric unit: placing takes a time that
# grows with the square.
MAX_ATOMS = 250

ORGANIC_EXTRAS = ("S", "F", "Cl", "P", "Br", "B", "Si", "I")
METALS = (
    *("Li", "Na", "Mg", "Al", "K", "Ca", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni"),
    *("Cu", "Zn", "Ga", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Ru", "Pd", "Ag", "Cd"),
    *("In", "Sn", "Cs", "Ba", "La", "Ce", "Gd", "W", "Pt", "Au", "Pb", "Bi"),
)
CATIONS = (*METALS, "Si", "P", "Ge", "B", "As", "Sb", "Te")
ANIONS = ("O", "F", "S", "Cl", "N", "Se", "Br", "I", "C")
ANION_WEIGHTS = (0.6, 0.08, 0.1, 0.07, 0.05, 0.03, 0.03, 0.02, 0.02)


def draw_composition(
    rng: np.random.Generator, kind: str, volume: float, order: int
) -> tuple[list[str], int]:
    """
    Draw the atoms of the asymmetric unit, on general positions.

    Organic: C, N and O in shares that scatter about 0.74, 0.12 and 0.14, in 40 % of the
    compounds one or two other elements with a share of 2 to 10 %; 0.4 to 1.4 hydrogen
    atoms for each of these. Mixed: the same with one or two metals, 3 to 20 % of the
    atoms. Inorganic: one to three cations and one or two anions, 1 to 3 of these for
    each cation; no hydrogen.

    Args:
        rng: Source of all random numbers.
        kind: One of KINDS.
        volume: Of the cell [Å³].
        order: General positions in the cell.

    Returns:
        Symbols, hydrogen last; the number of atoms in the cell.

    Raises:
        ValueError: There is room for fewer than two atoms, or for too many.
    """
    in_cell = volume / rng.uniform(*ATOMIC_VOLUMES[kind])
    n_heavy = round(in_cell / order)
    if kind == "inorganic":
        # On special positions there are more atoms in the asymmetric unit than that.
        n_heavy = max(n_heavy, int(rng.integers(2, 6)))
    if not 2 <= n_heavy <= MAX_ATOMS:
        raise ValueError(
            f"{n_heavy} atoms in the asymmetric unit of a cell of {volume:.0f} Å³."
        )
    if kind == "inorganic":
        return _inorganic(rng, n_heavy), round(in_cell)
    shares = dict(zip("CNO", rng.dirichlet((15.0, 2.5, 2.8))))
    if rng.random() < 0.4:
        for symbol in rng.choice(ORGANIC_EXTRAS, rng.integers(1, 3), replace=False):
            shares[str(symbol)] = rng.uniform(0.02, 0.1)
    heavy = _draw(rng, shares, n_heavy)
    if kind == "mixed":
        n_metal = max(1, round(rng.uniform(0.03, 0.2) * n_heavy))
        metals = rng.choice(METALS, rng.integers(1, 3), replace=False)
        # Metals first: the largest atoms are placed while there is room.
        heavy = [str(x) for x in rng.choice(metals, n_metal)] + heavy[n_metal:]
    atoms = heavy + ["H"] * round(rng.uniform(0.4, 1.4) * n_heavy)
    return atoms, len(atoms) * order


def _inorganic(rng: np.random.Generator, n_atoms: int) -> list[str]:
    cations = rng.choice(CATIONS, rng.integers(1, 4), replace=False)
    anions = rng.choice(
        ANIONS, rng.integers(1, 3), replace=False, p=np.array(ANION_WEIGHTS)
    )
    n_cations = min(max(1, round(n_atoms / (1 + rng.uniform(1, 3)))), n_atoms)
    chosen = [str(x) for x in rng.choice(cations, n_cations)]
    return chosen + [str(x) for x in rng.choice(anions, n_atoms - n_cations)]


def _draw(rng: np.random.Generator, shares: dict[str, float], n: int) -> list[str]:
    weights = np.array([*shares.values()])
    return [str(x) for x in rng.choice([*shares], n, p=weights / weights.sum())]
