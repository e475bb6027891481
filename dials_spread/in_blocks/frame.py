"""
What all blocks have in common: cell, columns, unique reflections, images, order of crystals.

Functions:
    build_frame: from what was told of each block
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cctbx import sgtbx, uctbx

from dials_spread.in_blocks.blocks import LARGEST_INDEX, BlockSummary
from dials_spread.incidence import close_under, pack, unpack
from dials_spread.observations.builder import reference_cell
from dials_spread.observations.canonical_order import rank_by_keys
from dials_spread.observations.crystals import check_crystals
from dials_spread.observations.images import Images
from dials_spread.observations.table import as_flex, unique_indices
from dials_spread.orientation import beam_direction, reciprocal_basis
from dials_spread.symmetry import LaueOperators, laue_operators
from dials_spread.versions import probe


@dataclass(frozen=True)
class CommonFrame:
    """
    What is known of all blocks together; m images, k crystals.

    Attributes:
        unit_cell, space_group, radiation, choice: As in Observations.
        operators: Of the Laue group.
        closed: Shape (c, 3), the index of each column.
        permutation: Shape (operators, c), int32.
        unique: Shape (c,), int32: the unique reflection of each column.
        d_spacing: Shape (u,) [Å].
        images: All, by block, crystal and frame.
        first_image: Shape (blocks + 1,).
        first_crystal: Shape (blocks + 1,).
        rank: Shape (k,), place of each crystal in the order for random numbers.
        number: Shape (k,), observations of each.
    """

    unit_cell: uctbx.unit_cell
    space_group: sgtbx.space_group
    radiation: str
    choice: str
    operators: LaueOperators
    closed: np.ndarray
    permutation: np.ndarray
    unique: np.ndarray
    d_spacing: np.ndarray
    images: Images
    first_image: np.ndarray
    first_crystal: np.ndarray
    rank: np.ndarray
    number: np.ndarray

    @property
    def scaled(self) -> bool:
        """Whether all intensities are on one scale."""
        return self.choice == "scale"

    @property
    def n_unique(self) -> int:
        """Number of unique reflections."""
        return len(self.d_spacing)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.first_image) - 1

    @cached_property
    def present(self) -> np.ndarray:
        """Shape (k,), bool: crystals that have observations."""
        return self.number > 0

    def of_block(self, values: np.ndarray) -> list[np.ndarray]:
        """Divide values of crystals, shape (k, ...), by blocks."""
        ends = zip(self.first_crystal[:-1], self.first_crystal[1:])
        return [values[a:b] for a, b in ends]

    def images_of_block(self, values: np.ndarray) -> list[np.ndarray]:
        """Divide values of images, shape (m, ...), by blocks."""
        return [
            values[a:b] for a, b in zip(self.first_image[:-1], self.first_image[1:])
        ]


def build_frame(
    summaries: Sequence[BlockSummary], names: Sequence[str], friedel: bool
) -> CommonFrame:
    """
    Bring together what was told of blocks.

    Args:
        summaries: Of each, without problems.
        names: Of their experiment files.
        friedel: Take Friedel mates as equivalent.

    Raises:
        ValueError: The crystals cannot be compared.
    """
    lists = [pickle.loads(s.experiments) for s in summaries]
    experiments = [e for some in lists for e in some]
    check_crystals(experiments, [n for n, some in zip(names, lists) for _ in some])
    cell = reference_cell(experiments)
    group = experiments[0].crystal.get_space_group()
    basis = reciprocal_basis(cell)
    operators = laue_operators(group, basis, friedel)
    keys = np.unique(np.concatenate([s.hkl for s in summaries]))
    closed, permutation = close_under(unpack(keys, LARGEST_INDEX), operators)
    unique_index, unique = unique_indices(closed, group, friedel)
    first_crystal = np.cumsum([0, *(len(some) for some in lists)])
    number = np.concatenate([s.number for s in summaries])
    return CommonFrame(
        unit_cell=cell,
        space_group=group,
        radiation=probe(experiments[0].beam),
        choice=summaries[0].choice,
        operators=operators,
        closed=closed,
        permutation=permutation,
        unique=unique,
        d_spacing=cell.d(as_flex(unique_index)).as_numpy_array(),
        images=_images(summaries, first_crystal, basis),
        first_image=np.cumsum([0, *(len(s.crystal) for s in summaries)]),
        first_crystal=first_crystal,
        rank=rank_by_keys(number, np.concatenate([s.keys for s in summaries])),
        number=number,
    )


def packed_columns(frame: CommonFrame) -> tuple[np.ndarray, np.ndarray]:
    """Give what `blocks.as_block` needs: packed indices of columns, unique reflections."""
    return pack(frame.closed, LARGEST_INDEX), frame.unique


def _images(summaries, first_crystal: np.ndarray, basis: np.ndarray) -> Images:
    joined = {
        name: np.concatenate([getattr(s, name) for s in summaries])
        for name in ("first", "last", "setting", "s0")
    }
    crystal = [s.crystal + n for s, n in zip(summaries, first_crystal)]
    return Images(
        crystal=np.concatenate(crystal),
        z=0.5 * (joined["first"] - 1 + joined["last"]),
        beam=beam_direction(joined["setting"], joined["s0"], basis),
        **joined,
    )
