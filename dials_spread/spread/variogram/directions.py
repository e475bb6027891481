"""
Where the beam came from when a reflection was measured, as its unique index sees it.

An operator W of the Laue group that takes a measured index to its unique one takes the
crystal with it, so the beam direction b becomes G b, with G the same operator on
directions. Two observations of one unique reflection are then compared in one frame.

Friedel mates. An operator with the inversion takes h to -h and the beam b to -b: the
measurement of -h along b is the same as that of h along -b if the crystal is
centrosymmetric, exactly. If it is not, dynamical intensities of Friedel mates differ, and
``friedel=False`` keeps them apart. By reciprocity (source and detector exchanged) h along
b and h along -b agree again up to twice the Bragg angle, for any crystal whose two faces
are alike; that is not assumed: angles run to 180°, and those near 180° have bins of
their own.

A reflection on a symmetry element is left as it is by further operators; of the angles
that these give the smallest counts.

Functions:
    map_directions: the operator of each observation, and the mapped beams
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dials_spread.incidence import pack
from dials_spread.observations import Observations
from dials_spread.orientation import reciprocal_basis
from dials_spread.symmetry import LaueOperators, laue_operators

BLOCK = 200_000
"""Indices mapped at once, to bound the memory."""


class ObservationDirections(NamedTuple):
    """
    Beam directions of observations.

    Attributes:
        operator: Shape (n,), int8, takes each observation's index to its unique one.
        beam: Shape (operators, images, 3), unit vectors: what each operator makes of
            the beam direction of each image.
        on_directions: Shape (operators, 3, 3), the operators.
        fixes: Shape (reflections, operators), bool: whether an operator leaves a unique
            index as it is.
    """

    operator: np.ndarray
    beam: np.ndarray
    on_directions: np.ndarray
    fixes: np.ndarray


def _operators_of(
    miller_index: np.ndarray, unique_index: np.ndarray, operators: LaueOperators
) -> np.ndarray:
    """Find the first operator that takes each index to its unique one."""
    found = np.empty(len(miller_index), dtype=np.int8)
    for first in range(0, len(found), BLOCK):
        part = slice(first, first + BLOCK)
        mapped = np.einsum("mij,nj->mni", operators.on_indices, miller_index[part])
        same = (mapped == unique_index[part]).all(axis=2)
        if not same.any(axis=0).all():
            wrong = miller_index[part][~same.any(axis=0)][0]
            raise ValueError(f"No operator takes {wrong} to its unique index")
        found[part] = same.argmax(axis=0)
    return found


def map_directions(observations: Observations) -> ObservationDirections:
    """
    Give the beam direction of each observation in the frame of its unique index.

    Args:
        observations: n of them.

    Returns:
        The directions, without one vector an observation: those of an observation on
        image i with operator m are beam[m, i].
    """
    basis = reciprocal_basis(observations.unit_cell)
    operators = laue_operators(observations.space_group, basis, observations.friedel)
    measured = observations.miller_index
    limit = int(np.abs(measured).max(initial=1))
    _, where, number = np.unique(
        pack(measured, limit), return_index=True, return_inverse=True
    )
    unique_index = observations.unique_index.astype(np.int64)
    of_index = _operators_of(
        measured[where].astype(np.int64),
        unique_index[observations.unique[where]],
        operators,
    )
    on_unique = np.einsum("mij,uj->umi", operators.on_indices, unique_index)
    return ObservationDirections(
        operator=of_index[number.ravel()],
        beam=np.einsum(
            "mij,nj->mni", operators.on_directions, observations.images.beam
        ),
        on_directions=operators.on_directions,
        fixes=(on_unique == unique_index[:, None]).all(axis=2),
    )
