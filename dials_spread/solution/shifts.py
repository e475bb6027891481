"""
The shift of the origin that makes two maps agree, or a map with its own symmetry.

Structure solution in P1 ends at any origin, and in either hand. Both questions, which shift
lays one map on the other and which puts the symmetry elements where the space group has
them, maximise a sum of waves over the shift: one Fourier transform gives it everywhere, and
a few steps of Newton's method the place between the points of the grid.

Phase convention throughout: F(h) = Σ f exp(2πi h·x), so x → x + s is F → F exp(2πi h·s).

Classes:
    Overlay: how one map lies on another
    SymmetryFit: how well phases agree with a space group, and where its origin is

Functions:
    best_shift: where a sum of waves is largest
    map_correlation: of two maps, whatever the origin and the hand
    fit_symmetry: the origin of a space group in a map
    symmetrised: the mean over the symmetry operators
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from cctbx import sgtbx

NEWTON_STEPS = 8


@dataclass(frozen=True)
class Overlay:
    """
    How one map lies on another.

    Attributes:
        correlation: Of the two maps, -1 … 1.
        shift: Shape (3,), fractional, to be added to coordinates of the first.
        inverted: Whether the first is inverted (x → -x) before that.
    """

    correlation: float
    shift: np.ndarray
    inverted: bool


@dataclass(frozen=True)
class SymmetryFit:
    """
    How well phases agree with a space group, and where its origin is.

    Attributes:
        agreement: Mean of the cosine of what phases of symmetry equivalents lack, weighted
            by E²: 1 where the symmetry holds, about 0 for random phases; nan in P1 and
            where symmetry says nothing about phases.
        shift: Shape (3,), fractional, to be added to coordinates.
        inverted: Whether the hand has to be changed before that.
    """

    agreement: float
    shift: np.ndarray
    inverted: bool


def best_shift(
    wave: np.ndarray, amplitude: np.ndarray, refine: bool = True
) -> tuple[np.ndarray, float]:
    """
    Find the shift s where Re Σ a exp(2πi m·s) is largest.

    Args:
        wave: Shape (n, 3), int, m.
        amplitude: Shape (n,), complex, a.
        refine: Whether to look between the points of the grid.

    Returns:
        s, shape (3,), fractional, and the sum there.
    """
    limit = 2 * np.abs(wave).max(axis=0) + 1
    shape = tuple(fft.next_fast_len(int(n)) for n in limit)
    place = np.ravel_multi_index(tuple((-wave % shape).T), shape)
    size = int(np.prod(shape))
    grid = np.bincount(place, amplitude.real, size).astype(np.complex64)
    grid.imag = np.bincount(place, amplitude.imag, size)
    total = fft.fftn(grid.reshape(shape), overwrite_x=True).real
    start = np.array(np.unravel_index(int(total.argmax()), shape)) / shape
    return _newton(wave, amplitude, start) if refine else (start, float(total.max()))


def _newton(
    wave: np.ndarray, amplitude: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, float]:
    """Climb to the maximum next to a start; a direction without slope is left alone."""

    def terms(s: np.ndarray) -> np.ndarray:
        return amplitude * np.exp(2j * np.pi * (wave @ s))

    s, now = start, terms(start)
    for _ in range(NEWTON_STEPS):
        slope = -2 * np.pi * (wave.T @ now.imag)
        curvature = -4 * np.pi**2 * (wave.T * now.real) @ wave
        values, vectors = np.linalg.eigh(curvature)
        # Downhill curvature alone has a maximum; along polar axes there is none at all.
        steep = values < 1e-6 * values.min() if values.min() < 0 else values < 0
        along = vectors.T @ slope
        step = vectors[:, steep] @ (along[steep] / -values[steep])
        following = terms(s + step)
        while following.real.sum() < now.real.sum() and np.abs(step).max() > 1e-7:
            step = step / 4
            following = terms(s + step)
        if np.abs(step).max() <= 1e-7 or following.real.sum() <= now.real.sum():
            break
        s, now = s + step, following
    return s - np.floor(s), float(now.real.sum())


def map_correlation(index: np.ndarray, found: np.ndarray, true: np.ndarray) -> Overlay:
    """
    Correlate two maps at the best shift of the better hand.

    The correlation of maps without F(000) is Σ Re F G* / √(Σ|F|² Σ|G|²) (Parseval).

    Args:
        index: Shape (n, 3), int, one of each Friedel pair, in P1.
        found: Shape (n,), complex F of one map.
        true: Shape (n,), complex F of the other.
    """
    norm = np.sqrt(np.sum(np.abs(found) ** 2) * np.sum(np.abs(true) ** 2))
    if not norm > 0:
        return Overlay(0.0, np.zeros(3), False)
    overlays = []
    for inverted in (False, True):
        own = found.conj() if inverted else found
        shift, total = best_shift(index, own * true.conj())
        overlays.append(Overlay(total / norm, shift, inverted))
    # The hand as it is where both fit: centrosymmetric structures have two equal ones.
    return overlays[int(overlays[1].correlation > overlays[0].correlation + 1e-6)]


def operators_without_centring(
    space_group: sgtbx.space_group,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rotation, shape (3, 3), int, and translation, shape (3,), of each operator."""
    # Centring comes last in the order of cctbx.
    return [
        (
            np.array(op.r().as_double()).reshape(3, 3).round().astype(int),
            np.array(op.t().as_double()),
        )
        for op in (space_group(i) for i in range(space_group.order_p()))
    ]


class Equivalents:
    """Where the equivalents hR of each h are, found once for many maps."""

    def __init__(self, index: np.ndarray, space_group: sgtbx.space_group):
        """
        Look them up.

        Args:
            index: Shape (n, 3), int, one of each Friedel pair, in P1.
            space_group: The space group.
        """
        self.index = index
        self.enantiomorphic = space_group.type().is_enantiomorphic()
        size = 2 * np.abs(index).max() + 1
        row = np.full((size,) * 3, -1)
        n = len(index)
        row[tuple((-index % size).T)] = np.arange(n, 2 * n)
        row[tuple((index % size).T)] = np.arange(n)
        waves, origins, targets, factors = [], [], [], []
        for rotation, translation in operators_without_centring(space_group):
            equivalent = index @ rotation
            inside = (np.abs(equivalent) <= size // 2).all(axis=1)
            at = np.where(inside, row[tuple((equivalent % size).T)], -1)
            waves.append(equivalent - index)
            origins.append(np.arange(n))
            targets.append(at)
            factors.append(np.exp(2j * np.pi * (index @ translation)))
        self.wave = np.concatenate(waves)
        self.origin = np.concatenate(origins)
        self.target = np.concatenate(targets)
        self.factor = np.concatenate(factors)
        # hR = h says nothing of where the origin is.
        self.telling = (self.target >= 0) & (self.wave != 0).any(axis=1)

    def products(self, F: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """F(hR) F*(h) exp(2πi h·t) of some pairs."""
        both = np.concatenate([F, F.conj()])
        pair = both[self.target[rows]] * F[self.origin[rows]].conj()
        return pair * self.factor[rows]


def fit_symmetry(
    equivalents: Equivalents, F: np.ndarray, refine: bool = True
) -> SymmetryFit:
    """
    Find the origin of the space group.

    Where ρ(Rx + t) = ρ(x), F(hR) = F(h) exp(-2πi h·t); of a map whose origin is
    elsewhere, both sides turn with the shift. The sum of F(hR) F*(h) exp(2πi h·t) over
    all pairs is largest at the right one. The principle of Burzlaff & Hountas (1982),
    J. Appl. Cryst. 15, 464, and Palatinus & van der Lee (2008), J. Appl. Cryst. 41, 975.

    Args:
        equivalents: Of the reflections.
        F: Shape (n,), complex; with normalised amplitudes all resolutions count.
        refine: Whether to look between the points of the grid; without, it is faster and
            the agreement some per cent lower.
    """
    rows = np.flatnonzero(equivalents.telling)
    if not len(rows):
        return SymmetryFit(float("nan"), np.zeros(3), False)
    wave, fits = equivalents.wave[rows], []
    hands = (False, True) if equivalents.enantiomorphic else (False,)
    for inverted in hands:
        product = equivalents.products(F.conj() if inverted else F, rows)
        total = float(np.abs(product).sum())
        if not total > 0:
            return SymmetryFit(float("nan"), np.zeros(3), False)
        shift, value = best_shift(wave, product, refine)
        fits.append(SymmetryFit(value / total, shift, inverted))
    return max(fits, key=lambda fit: fit.agreement)


def moved(
    index: np.ndarray, F: np.ndarray, shift: np.ndarray, inverted: bool
) -> np.ndarray:
    """
    Shift the origin of a map, after its inversion.

    Args:
        index: Shape (n, 3).
        F: Shape (n,), complex.
        shift: Shape (3,), fractional, added to coordinates.
        inverted: Whether x becomes -x before that.
    """
    own = F.conj() if inverted else F
    return own * np.exp(2j * np.pi * (index @ shift))


def symmetrised(equivalents: Equivalents, F: np.ndarray) -> np.ndarray:
    """
    Average a map over the space group, its origin being right.

    Args:
        equivalents: Of the reflections.
        F: Shape (n,), complex.

    Returns:
        Shape (n,), complex: F(hR) exp(2πi h·t), averaged over the operators whose hR is
        among the reflections.
    """
    n = len(F)
    rows = np.flatnonzero(equivalents.target >= 0)
    both = np.concatenate([F, F.conj()])
    value = both[equivalents.target[rows]] * equivalents.factor[rows]
    at = equivalents.origin[rows]
    total = np.bincount(at, value.real, n) + 1j * np.bincount(at, value.imag, n)
    return total / np.maximum(np.bincount(at, minlength=n), 1)
