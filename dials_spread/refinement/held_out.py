"""
R1 of reflections that a fit never saw.

Which reflections are held out follows from their indices alone, so that it is the same for
several sets of data of one compound.

Functions:
    held_out_set: the reflections of one set
    held_out_r1: over several sets
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.refinement.refining import DEFAULTS, RefinementSettings, refine
from dials_spread.refinement.result import Refinement, as_plain


@dataclass(frozen=True)
class HeldOutR1:
    """
    R1 of reflections held out, over several sets.

    Attributes:
        values: R1 of each set.
        n: Reflections of each set.
        fitted: R1 of all reflections fitted, for each set.
        mean: Over the sets; nan without a refinement that converged.
        spread: Standard deviation over the sets; nan with one.
        n_converged: Refinements that did; the others do not count for the mean.
    """

    values: tuple[float, ...]
    n: tuple[int, ...]
    fitted: tuple[float, ...]
    mean: float
    spread: float
    n_converged: int

    def as_dict(self) -> dict:
        """Give all; what is not finite becomes None."""
        return as_plain(self)


def held_out_set(
    f_sq: miller.array, *, fraction: float = 0.05, number: int = 0
) -> np.ndarray:
    """
    Choose reflections to hold out, by a hash of their indices.

    Args:
        f_sq: n reflections; symmetry equivalents and Friedel mates go together.
        fraction: How large a part of all.
        number: Of the set. Sets have nothing in common while (number + 1) × fraction is
            at most 1.

    Returns:
        Shape (n,), those to be held out.
    """
    unique = miller.set(f_sq, f_sq.indices(), anomalous_flag=False).map_to_asu()
    digests = [
        hashlib.sha256("{} {} {}".format(*hkl).encode()).digest()
        for hkl in unique.indices()
    ]
    place = np.array([int.from_bytes(d[:6], "big") for d in digests]) / 2.0**48
    return (place >= number * fraction) & (place < (number + 1) * fraction)


def held_out_r1(
    structure: xray.structure,
    f_sq: miller.array,
    *,
    strong: flex.bool | np.ndarray | None = None,
    fraction: float = 0.05,
    n_sets: int = 5,
    start: Refinement | None = None,
    settings: RefinementSettings = DEFAULTS,
    rng: np.random.Generator,
) -> HeldOutR1:
    """
    Refine several times, each time without a part of the reflections.

    Args:
        structure: The reference, see `refine`.
        f_sq: Merged intensities with sigmas, n of them.
        strong: Shape (n,); None or the reflections that are scored among those held out.
        fraction: How large a part is held out each time.
        n_sets: How many times.
        start: A refinement against all reflections: each set then starts at its end, with
            its weights, and needs few cycles. What the reflections held out said in it
            is forgotten where the refinement converges.
        settings: Of the refinements. Weights and displacements are those of the first
            set in all.
        rng: Random numbers, of the starts.

    Returns:
        R1 of each set, and mean and spread.
    """
    if start is not None:
        structure = start.structure
        settings = replace(
            settings,
            start_shift=0.0,
            weights=start.weights,
            anisotropic=start.anisotropic,
        )
    values, counts, fitted, converged = [], [], [], []
    for number in range(n_sets):
        held = held_out_set(f_sq, fraction=fraction, number=number)
        if not held.any() or held.all():
            continue
        one = refine(
            structure, f_sq, strong=strong, held_out=held, settings=settings, rng=rng
        )
        settings = replace(settings, weights=one.weights, anisotropic=one.anisotropic)
        values.append(one.r1_held_out)
        counts.append(one.n_held_out)
        fitted.append(one.r1_all)
        converged.append(one.converged)
    good = np.array(values)[np.array(converged, bool)]
    return HeldOutR1(
        values=tuple(values),
        n=tuple(counts),
        fitted=tuple(fitted),
        mean=float(good.mean()) if len(good) else float("nan"),
        spread=float(good.std(ddof=1)) if len(good) > 1 else float("nan"),
        n_converged=len(good),
    )
