"""
The provisional structure refined against corrected intensities: sentences, tables, JSON.

Functions:
    refined_sentences: how well it agrees, and what it lacks
    atoms_sentences: which atoms have gone elsewhere, or are not there
    elements_sentences: whether elements scatter as they should
    cycles_sentences: how many corrections were kept, and why no more
    refined_tables: cycles, figures and difference peaks
    cycles_document: of all cycles, for JSON
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cctbx import xray
from cctbx.array_family import flex

from dials_spread.refinement import Refinement
from dials_spread.refinement.against_reference import compare_structures
from dials_spread.refinement.difference_map import HIGH, POTENTIAL, Peak
from dials_spread.refinement.element_check import ElementScattering
from dials_spread.refinement.model import without_density
from dials_spread.report.page.labels import NO_VALUE, counted, digits
from dials_spread.report.page.tables import TextTable
from dials_spread.structures.connected import beside
from dials_spread.with_structure import Cycles
from dials_spread.with_structure.cycles import Cycle

ODD = 5.0
"""Standard uncertainties from which an element is doubted, see element_check: right ones of
measured structures are up to 4.2 off (Si of natrolite), wrong ones 7 to 9."""

TELLS = 0.25
"""R1 above which missing atoms may look like wrong elements."""

FAR = 0.1
"""Mean shift of atoms in refinement [Å] that is more than adjustment."""

REMAINDER = 0.5
"""A peak so near to an atom [Å] tells of that atom and not of another."""

BOND = 0.85
"""Nearer to an atom [Å] there is no other one that is there at the same time: bonds to
hydrogen, the shortest, are 0.96 Å and more between nuclei."""


def refined_sentences(one: Refinement | None, problem: str) -> list[str]:
    """
    Say how well the refined structure agrees, and what it lacks.

    Args:
        one: The refinement against what is written; None where there is none.
        problem: Why there is none.
    """
    if one is None:
        return [f"The structure was not refined: {problem}."] if problem else []
    a, b = one.weights
    kind = "anisotropic" if one.anisotropic else "isotropic"
    told = [
        f"The structure refined against the corrected intensities (smtbx, full matrix on "
        f"F², {kind}): R1 {one.r1_strong:.3f} for {one.n_strong:,} reflections with "
        f"I > 2σ, {one.r1_all:.3f} for all {one.n_observations:,}, wR2 {one.wr2:.3f}, "
        f"goodness of fit {digits(one.goodness_of_fit)} with WGHT {digits(a)} "
        f"{digits(b)}, {counted(one.n_parameters, 'parameter')}."
    ]
    if not one.converged:
        told.append(
            f"That refinement did not converge ({one.reason}): believe neither its figures "
            "nor its peaks."
        )
    told += [f"Refinement: {text}." for text in one.warnings]
    return [*told, _peaks_sentence(one)]


def _peaks_sentence(one: Refinement) -> str:
    high, low = one.highest_peak, one.lowest_peak
    if high is None or low is None:
        return "The Fo − Fc map is flat."
    outside = [p for p in one.peaks if p.in_sigma > HIGH and p.distance > REMAINDER]
    free = [p for p in outside if p.distance > BOND]
    told = (
        f"Fo − Fc: highest peak {_height(high)}, {high.distance:.2f} Å from {high.atom}; "
        f"deepest hole {_height(low)}, {low.distance:.2f} Å from {low.atom}. "
    )
    if not high.in_sigma > HIGH:
        return told + f"No peak is above {HIGH:g} σ: the map shows no further atom."
    if len(outside) > len(free):
        told += _near_sentence(len(outside) - len(free), one.anisotropic)
    if not free:
        return told + (
            f"No peak above {HIGH:g} σ is more than {BOND:g} Å from all atoms: the "
            "map shows no further atom."
        )
    some = ", ".join(
        f"{p.in_sigma:.1f} σ at {_site(p)}, {p.distance:.2f} Å from {p.atom}"
        for p in free[:3]
    )
    return told + (
        f"{counted(len(free), 'peak')} above {HIGH:g} σ and more than {BOND:g} Å from "
        f"all atoms may be atoms that the structure lacks: {some}."
    )


def _near_sentence(n: int, anisotropic: bool) -> str:
    """Of peaks that are nearer to an atom than bonds are long."""
    motion = "" if anisotropic else ", displacement that is not isotropic"
    verb = "is" if n == 1 else "are"
    return (
        f"{counted(n, 'peak')} above {HIGH:g} σ {verb} {REMAINDER:g} to {BOND:g} Å from an "
        f"atom, nearer than a bond is long: disorder{motion}, or noise. "
    )


def atoms_sentences(
    one: Refinement | None,
    given: xray.structure,
    corrected_again: bool = False,
    tried: bool = False,
) -> list[str]:
    """
    Say how far atoms have gone, and which have no density.

    Args:
        one: The refinement; None where there is none.
        given: The structure as it was given.
        corrected_again: Whether a correction with the refined one has been made and kept.
        tried: Whether one has been made.
    """
    if one is None:
        return []
    told = []
    names = [s.label for s in given.scatterers()]
    shifts = np.full(len(names), np.nan)
    if names == [s.label for s in one.structure.scatterers()]:  # none came or went
        # One that was solved may have its atoms at other equivalents since.
        before = given.deep_copy_scatterers()
        before.set_sites_frac(flex.vec3_double(beside(given, one.structure)))
        moved = compare_structures(one.structure, before)
        shifts = moved.shifts
    if np.isfinite(shifts).any():
        mean, far = moved.mean_shift(), int(np.nanargmax(shifts))
        text = (
            f"Refinement moved atoms by {mean:.2f} Å on average, {names[far]} farthest, by "
            f"{shifts[far]:.2f} Å."
        )
        if mean > FAR and corrected_again:
            text += " So far they were off."
        elif mean > FAR and one.converged and not tried:
            text += (
                " So far they were off, and with them the "
                "phases: correct again with the refined one (cycles=3 does)."
            )
        told.append(text)
    loose = without_density(one.structure)
    if loose:
        told.append(
            f"{', '.join(f'{name}: U = {u:.2g} Å²' for name, u in loose)}. An atom so "
            "smeared out has no density of its own: it may not be there."
        )
    return told


def elements_sentences(
    one: Refinement | None, elements: Sequence[ElementScattering]
) -> list[str]:
    """
    Say whether elements scatter as they should.

    Args:
        one: The refinement; None where there is none.
        elements: What each of them scatters.
    """
    if one is None or not elements:
        return []
    known = elements[0].relative_to
    figures = ", ".join(
        f"{e.element} {e.ratio:.2f} ± {e.su:.2f} times" for e in elements
    )
    start = f"Elements: relative to {known}, {figures} what is expected. "
    if not one.converged:
        return [
            f"{start}As the refinement did not converge, that says nothing of them."
        ]
    if not one.r1_strong < TELLS:
        return [f"{start}With R1 this high that says nothing of the elements."]
    odd = [e.element for e in elements if abs(e.z) > ODD]
    if odd:
        return [
            f"{start}{' and '.join(odd)} or {known} may be another element "
            f"(beyond {ODD:g} standard uncertainties), or atoms of it are partly occupied."
        ]
    return [
        f"{start}Nothing speaks against them; neighbours in a row of the periodic table, as "
        "C, N and O, are not told apart, and one atom among many hardly."
    ]


def cycles_sentences(cycles: Cycles) -> list[str]:
    """
    Say how many corrections were kept, and why no more.

    Args:
        cycles: All of them.
    """
    if cycles.n_wanted < 2:
        return []
    told = (
        f"{cycles.n_kept} of {cycles.n_wanted} cycles of correction and refinement kept"
    )
    if not cycles.last.correction.n_steps:
        told = f"None of {cycles.n_wanted} cycles of correction and refinement helps"
    if cycles.reason:
        told += f": {cycles.reason}"
    told += (
        ". A fifth of the observations is set apart throughout: structures between cycles "
        "are refined against amplitudes without them, and a cycle stays only if it "
        "predicts them better by a standard deviation."
    )
    return [told]


def refined_tables(one: Refinement | None, cycles: Cycles) -> list[TextTable]:
    """
    Tabulate cycles, where there are several, and difference peaks.

    Args:
        one: The refinement against what is written; None where there is none.
        cycles: All cycles.
    """
    tables = [_cycles_table(one, cycles)] if cycles.n_wanted > 1 else []
    if one is not None and one.peaks:
        tables.append(_peaks_table(one))
    return tables


def _height(peak: Peak) -> str:
    return f"{peak.height:.1f} V ({peak.in_sigma:.1f} σ)".replace("-", "−")


def _site(peak: Peak) -> str:
    return " ".join(f"{x:.3f}" for x in peak.site).replace("-", "−")


def _cycles_table(one: Refinement | None, cycles: Cycles) -> TextTable:
    rows = []
    for number, cycle in enumerate(cycles.cycles, start=1):
        gain, kept = cycle.gain, number <= cycles.n_kept
        apart = (
            [NO_VALUE] * 3
            if gain is None
            else [f"{gain.before:.4f}", f"{gain.after:.4f}", f"{gain.z:.1f}"]
        )
        rows.append(
            [
                str(number) if kept else f"{number} (not kept)",
                str(cycle.correction.n_steps),
                *(x.replace("-", "−") for x in apart),
                *_figures(cycle.refinement),
            ]
        )
    rows.append(["as written", *[NO_VALUE] * 4, *_figures(one)])
    header = ["cycle", "steps", "set apart, before", "after", "z"]
    header += ["R1, I > 2σ", "R1, all", "wR2", "goodness of fit"]
    header += ["highest peak [σ]", "deepest hole [σ]"]
    return TextTable(
        "Cycles: Σ|ΔF|/ΣFo of observations set apart, and the refinement after each",
        header,
        rows,
    )


def _figures(one: Refinement | None) -> list[str]:
    if one is None:
        return [NO_VALUE] * 6
    return [
        f"{one.r1_strong:.3f}",
        f"{one.r1_all:.3f}",
        f"{one.wr2:.3f}",
        digits(one.goodness_of_fit),
        *(
            NO_VALUE if p is None else f"{p.in_sigma:.1f}".replace("-", "−")
            for p in (one.highest_peak, one.lowest_peak)
        ),
    ]


def _peaks_table(one: Refinement) -> TextTable:
    rows = [
        [
            f"Q{number}",
            *(f"{x:.4f}".replace("-", "−") for x in peak.site),
            f"{peak.height:.2f}",
            f"{peak.in_sigma:.1f}",
            peak.atom,
            f"{peak.distance:.2f}",
        ]
        for number, peak in enumerate(one.peaks, start=1)
    ]
    header = ["peak", "x", "y", "z", "height [V]", "height [σ]", "nearest atom", "Å"]
    return TextTable(
        f"Highest peaks of Fo − Fc with the refined structure; below {HIGH:g} σ noise makes them, "
        f"too. 1 Å⁻² of the .res file is {POTENTIAL:.2f} V",
        header,
        rows,
    )


def _cycle_document(cycle: Cycle) -> dict:
    found = cycle.correction
    return {
        "steps": found.n_steps,
        "by_observation": found.by_observation.as_dict(),
        "gain": cycle.gain and cycle.gain.as_dict(),
        "thickness": [one.shape.thickness for one in found.crystals],
        "refinement": cycle.refinement and cycle.refinement.as_dict(),
    }


def cycles_document(cycles: Cycles) -> dict:
    """
    Give all cycles for JSON.

    Args:
        cycles: All of them.
    """
    return {
        "wanted": cycles.n_wanted,
        "kept": cycles.n_kept,
        "reason": cycles.reason or None,
        "cycles": [_cycle_document(cycle) for cycle in cycles.cycles],
    }
