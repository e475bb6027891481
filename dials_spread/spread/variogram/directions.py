"""
Where the beam came from when a reflection was measured, as its unique index sees it.

An operator W of the Laue group that takes a measured index to its unique one takes the
crystal with it, so the beam direction b becomes G b, with G the same operator on
directions. Two observations of one unique reflection are then compared in one frame. b is
that of the moment at which the reflection was on the Ewald sphere, not of the middle of
its image: intensities change within tenths of a degree.

Friedel mates. An operator with the inversion takes h to -h and the beam b to -b: the
measurement of -h along b is the same as that of h along -b if the crystal is
centrosymmetric, exactly. If it is not, dynamical intensities of the two differ at one
orientation, so that observations of different hand are not compared here, although they
count as one reflection elsewhere (``friedel=True``).

Reciprocity. With source and detector exchanged, the incident beam runs against what was
the diffracted one, -(b + λh), and h is diffracted with the same intensity, for any
crystal whose two faces are alike (von Laue (1935), Ann. Phys. 415, 705; Cowley (1995),
Diffraction Physics, ch. 1). Of 40 simulated crystals of abiraterone, pairs of one thickness
(to 5 %) within 0.1° have a noise-free γ of 0.003 from opposite sides and 0.004 from one.
Such directions are compared as `reversed_beams` gives them.

A reflection on a symmetry element is left as it is by further operators; of the angles
that these give the smallest counts.

Functions:
    map_directions: the beam of each observation, mapped
    reversed_beams: of the experiment with source and detector exchanged
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.incidence import pack
from dials_spread.observations import Observations
from dials_spread.orientation import reciprocal_basis
from dials_spread.symmetry import LaueOperators, laue_operators

BLOCK = 200_000
"""Indices mapped at once, to bound the memory."""


@dataclass(frozen=True)
class ObservationDirections:
    """
    Beam directions of n observations of u unique reflections.

    Attributes:
        operator: Shape (n,), int8, takes each observation's index to its unique one.
        beam: Shape (n, 3), unit vectors: what that makes of the beam direction.
        hand: Shape (n,), bool: observations that differ in it are not compared.
        on_directions: Shape (operators, 3, 3), the operators.
        fixes: Shape (u, operators), bool: whether an operator leaves a unique index as
            it is, without a change of the hand.
        towards: Shape (u, 3), λ times the reciprocal vector of each unique reflection.
    """

    operator: np.ndarray
    beam: np.ndarray
    hand: np.ndarray
    on_directions: np.ndarray
    fixes: np.ndarray
    towards: np.ndarray

    @classmethod
    def without_symmetry(cls, beam: np.ndarray, n_unique: int) -> ObservationDirections:
        """
        Give the directions of observations that no operator relates.

        Args:
            beam: Shape (n, 3), unit vectors.
            n_unique: Number of unique reflections, at small angles.
        """
        n = len(beam)
        return cls(
            operator=np.zeros(n, dtype=np.int8),
            beam=np.ascontiguousarray(beam),
            hand=np.zeros(n, dtype=bool),
            on_directions=np.eye(3)[None],
            fixes=np.ones((n_unique, 1), dtype=bool),
            towards=np.zeros((n_unique, 3)),
        )


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


def _changes_hand(observations: Observations, operators: LaueOperators) -> np.ndarray:
    """
    Say which operators are of the Laue group only, and change intensities therefore.

    Kinematic intensities do not change, so that of X-rays none counts.

    Returns:
        Shape (operators,), bool.
    """
    if observations.radiation != "electrons":
        return np.zeros(len(operators), dtype=bool)
    basis = reciprocal_basis(observations.unit_cell)
    own = laue_operators(observations.space_group, basis, friedel=False)
    return np.array([symbol not in own.symbols for symbol in operators.symbols])


def map_directions(observations: Observations) -> ObservationDirections:
    """
    Give the beam direction of each observation in the frame of its unique index.

    Args:
        observations: n of them; without a geometry, the beam is that of the image.

    Returns:
        The directions.
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
    operator = of_index[number.ravel()]
    on_unique = np.einsum("mij,uj->umi", operators.on_indices, unique_index)
    changes = _changes_hand(observations, operators)
    fixes = (on_unique == unique_index[:, None]).all(axis=2) & ~changes
    wavelength = 1 / np.median(np.linalg.norm(observations.images.s0, axis=1))
    return ObservationDirections(
        operator=operator,
        beam=_mapped(_beams(observations), operator, operators.on_directions),
        hand=changes[operator],
        on_directions=operators.on_directions,
        fixes=fixes,
        towards=wavelength * unique_index @ basis.T,
    )


def _beams(observations: Observations) -> np.ndarray:
    """Give the beam of each observation in the crystal, shape (n, 3)."""
    if observations.geometry is not None:
        return observations.geometry.beam
    # One image of each: the middle one is no different to what the image width allows.
    image = np.zeros(len(observations), dtype=np.int64)
    image[observations.entry] = observations.entry_image
    return observations.images.beam[image]


def _mapped(
    beam: np.ndarray, operator: np.ndarray, on_directions: np.ndarray
) -> np.ndarray:
    """Turn each beam by its operator."""
    mapped = np.empty_like(beam)
    for m, turn in enumerate(on_directions):
        own = operator == m
        mapped[own] = beam[own] @ turn.T
    return mapped


def reversed_beams(beam: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """
    Give the incident beams of the experiments with source and detector exchanged.

    Args:
        beam: Shape (n, 3), unit vectors.
        towards: Shape (n, 3), λ times the reciprocal vector of the reflection.

    Returns:
        Shape (n, 3), unit vectors: against the diffracted beams.
    """
    against = -(beam + towards)
    return against / np.linalg.norm(against, axis=1, keepdims=True)
