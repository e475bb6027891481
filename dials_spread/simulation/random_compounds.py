"""
Random compounds: structures whose space group, composition and size are drawn too.

They are meant for training and for controls, so the distributions are wide: what is
learnt from them has to hold for compounds that nobody has drawn. All of them:

- kind: organic (probability 0.5), mixed (0.25: organic with metals or halogens) or
  inorganic (0.25, without hydrogen);
- space group: with probability 0.6 (organic, mixed) or 0.2 (inorganic) one of the 16
  commonest of molecular crystals, weighted as they occur; else a crystal system, each
  equally likely, and a number within it, likewise; then any of the settings that cctbx
  lists for this number;
- volume: from 300 to 4000 Å³, uniform in its logarithm; of organic and mixed compounds
  at least enough for two atoms that are not hydrogen in the asymmetric unit (larger
  groups are drawn again);
- cell: edges with a spread of 30 %, angles with a standard deviation of 10°, then
  averaged over the point group;
- composition: see `draw_composition`;
- atoms: at random places no nearer to each other, mates included, than 0.85 times the
  sum of their covalent radii. Atoms nearer than that to their own mates are moved onto
  the special position between them where the compound is mixed or inorganic, and are
  placed elsewhere where it is organic;
- displacement: a mean U from 0.01 to 0.08 Å², uniform in its logarithm, which each atom
  varies by 25 % and hydrogen exceeds by 20 %, between 0.01 and 0.08 Å²; in half of the
  compounds anisotropic, principal axes varying by 30 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cctbx import adptbx, crystal, sgtbx, uctbx, xray

from dials_spread.simulation.compositions import KINDS, draw_composition
from dials_spread.simulation.placement import place_atoms

# Of molecular crystals, in percent, about as the Cambridge Structural Database has them.
COMMON_GROUPS = {
    **{14: 34.0, 2: 25.0, 15: 8.3, 19: 7.0, 4: 5.0, 61: 3.2, 33: 1.4, 62: 1.0},
    **{9: 1.0, 1: 0.9, 60: 0.8, 148: 0.7, 5: 0.9, 18: 0.4, 88: 0.4, 29: 0.7},
}
SYSTEMS = {
    "triclinic": (1, 2),
    "monoclinic": (3, 15),
    "orthorhombic": (16, 74),
    "tetragonal": (75, 142),
    "trigonal": (143, 167),
    "hexagonal": (168, 194),
    "cubic": (195, 230),
}
VOLUMES = (300.0, 4000.0)  # [Å³]
U_LIMITS = (0.01, 0.08)  # [Å²]
MAX_DRAWS = 200


@dataclass(frozen=True)
class Wishes:
    """
    What of a random compound is not left to chance.

    Attributes:
        kind: "organic", "mixed", "inorganic", or None.
        space_group: Any symbol that cctbx reads, or None.
        volume: Limits of the volume of the cell [Å³].
    """

    kind: str | None = None
    space_group: str | None = None
    volume: tuple[float, float] = VOLUMES

    def __post_init__(self) -> None:
        if self.kind not in (None, *KINDS):
            raise ValueError(f"Unknown kind of compound: {self.kind}.")
        if not 0 < self.volume[0] <= self.volume[1] < np.inf:
            raise ValueError(f"Limits of the volume out of order: {self.volume}.")


def random_compound(
    rng: np.random.Generator,
    wishes: Wishes = Wishes(),  # noqa: B008, it is immutable
) -> xray.structure:
    """
    Draw a compound from the distributions in the module's docstring.

    Args:
        rng: Source of all random numbers.
        wishes: What is not left to chance.

    Returns:
        The structure, rounded as a CIF holds it, electron scattering table selected.

    Raises:
        ValueError: The space group is unknown, or nothing fits into such cells.
    """
    reason = ""
    for _ in range(MAX_DRAWS):
        kind = wishes.kind or str(rng.choice(KINDS, p=(0.5, 0.25, 0.25)))
        symmetry = draw_symmetry(rng, kind, wishes)
        try:
            return _fill(rng, kind, symmetry)
        except ValueError as error:
            reason = str(error)
    raise ValueError(f"No compound found in {MAX_DRAWS} draws: {reason}")


def _fill(
    rng: np.random.Generator, kind: str, symmetry: crystal.symmetry
) -> xray.structure:
    volume = symmetry.unit_cell().volume()
    order = symmetry.space_group().order_z()
    elements, wanted = draw_composition(rng, kind, volume, order)
    atoms = place_atoms(rng, symmetry, elements, wanted, special=kind != "organic")
    structure = xray.structure(crystal_symmetry=symmetry)
    for number, (element, site) in enumerate(atoms):
        structure.add_scatterer(
            xray.scatterer(
                label=f"{element}{number + 1}",
                scattering_type=element,
                site=tuple(np.round(site, 6)),
            )
        )
    _draw_displacements(rng, structure)
    structure.scattering_type_registry(table="electron")
    return structure


def draw_symmetry(
    rng: np.random.Generator, kind: str, wishes: Wishes
) -> crystal.symmetry:
    """
    Draw a space group, in any setting, and a cell that it allows.

    Args:
        rng: Source of all random numbers.
        kind: Of the compound.
        wishes: Space group and volume.
    """
    if wishes.space_group is not None:
        try:
            group = sgtbx.space_group_info(wishes.space_group).group()
        except RuntimeError:
            raise ValueError(f"Unknown space group: {wishes.space_group}.") from None
    else:
        group = _draw_group(rng, kind)
    low, high = np.log(wishes.volume)
    volume = float(np.exp(rng.uniform(low, high)))
    cell = random_cell(rng, group, volume)
    return crystal.symmetry(unit_cell=cell, space_group=group)


def _draw_group(rng: np.random.Generator, kind: str) -> sgtbx.space_group:
    if rng.random() < (0.2 if kind == "inorganic" else 0.6):
        weights = np.array([*COMMON_GROUPS.values()])
        number = int(rng.choice([*COMMON_GROUPS], p=weights / weights.sum()))
    else:
        first, last = SYSTEMS[str(rng.choice([*SYSTEMS]))]
        number = int(rng.integers(first, last + 1))
    symbols = settings()[number]
    return sgtbx.space_group(symbols[rng.integers(len(symbols))])


@lru_cache(maxsize=1)
def settings() -> Mapping[int, list[str]]:
    """The Hall symbols of all settings that cctbx lists, by space-group number."""
    found: dict[int, list[str]] = {}
    for symbols in sgtbx.space_group_symbol_iterator():
        found.setdefault(symbols.number(), []).append(symbols.hall())
    return found


def random_cell(
    rng: np.random.Generator, group: sgtbx.space_group, volume: float
) -> uctbx.unit_cell:
    """
    A random cell that a space group allows.

    The average of a metric tensor over a point group is one that the group allows, and
    is again positive definite.

    Args:
        rng: Source of all random numbers.
        group: In any setting.
        volume: [Å³]. What rounding of the cell to 0.001 Å and 0.01° leaves of it.

    Returns:
        The cell.
    """
    edges = np.exp(0.3 * rng.standard_normal(3))
    # Any three angles between these limits make a cell.
    angles = np.clip(90 + 10 * rng.standard_normal(3), 65, 115)
    cell = group.average_unit_cell(uctbx.unit_cell((*edges, *angles)))
    factor = np.cbrt(volume / cell.volume())
    edges = np.round(np.array(cell.parameters()[:3]) * factor, 3)
    angles = np.round(cell.parameters()[3:], 2)
    # Rounded, a rhombohedral or tetragonal cell stays one: equal numbers stay equal.
    return uctbx.unit_cell((*edges, *angles))


def _draw_displacements(rng: np.random.Generator, structure: xray.structure) -> None:
    """Give each atom its displacement, within the limits of U."""
    cell = structure.unit_cell()
    low, high = np.log(U_LIMITS)
    mean = np.exp(rng.uniform(low, high))
    anisotropic = rng.random() < 0.5
    for index, scatterer in enumerate(structure.scatterers()):
        factor = np.exp(0.25 * rng.standard_normal())
        factor *= 1.2 if scatterer.scattering_type == "H" else 1.0
        u = float(np.round(np.clip(mean * factor, *U_LIMITS), 6))
        if not anisotropic or scatterer.scattering_type == "H":
            scatterer.u_iso = u
            scatterer.flags.set_use_u(iso=True, aniso=False)
            continue
        axes = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        principal = np.clip(u * np.exp(0.3 * rng.standard_normal(3)), *U_LIMITS)
        tensor = axes @ np.diag(principal) @ axes.T
        u_cart = [*np.diag(tensor), tensor[0, 1], tensor[0, 2], tensor[1, 2]]
        site = structure.site_symmetry_table().get(index)
        u_star = adptbx.u_cart_as_u_star(cell, [float(x) for x in u_cart])
        scatterer.u_star = site.average_u_star(u_star)
        scatterer.flags.set_use_u(iso=False, aniso=True)
