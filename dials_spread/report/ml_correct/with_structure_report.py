"""
What a second correction with a provisional structure found: sentences, tables, plot, JSON.

Classes:
    StructureReport: all of it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from cctbx import xray

from dials_spread.refinement import Refinement
from dials_spread.refinement.element_check import ElementScattering
from dials_spread.reindexing import Reindexing
from dials_spread.report.ml_correct.doubts_of_structures import (
    doubtful_structure,
    ends_of_range,
)
from dials_spread.report.ml_correct.hand_sentences import (
    hand_sentence,
    turned_warnings,
)
from dials_spread.report.ml_correct.refined_structure_report import (
    atoms_sentences,
    cycles_document,
    cycles_sentences,
    elements_sentences,
    refined_sentences,
    refined_tables,
)
from dials_spread.report.ml_correct.solved_structure_sentences import (
    solved_in_short,
    solved_sentences,
)
from dials_spread.report.ml_correct.structure_reflections import (
    reflection_columns,
    undetermined_table,
)
from dials_spread.report.page.labels import counted
from dials_spread.report.page.log_text import Step
from dials_spread.report.page.plot_parts import points
from dials_spread.report.page.plot_style import BLUE, axis, log_axis, new_plot
from dials_spread.report.page.sections import Section
from dials_spread.report.page.tables import TextTable
from dials_spread.rfactor import amplitudes, r_factor
from dials_spread.rfactor.r1 import finite_or_none
from dials_spread.rfactor.shells import resolution_shells
from dials_spread.with_structure import (
    Cycles,
    Hands,
    SecondCorrection,
    SolvedStructure,
)

N_SHELLS = 8

R1_STRUCTURE = "R1 against the structure"
"""Label of r_factor of merged amplitudes with |F| of the structure that was given."""

FIRST_SHARE = "share of the first estimate"
"""Label of 1 - information: with_structure/inversion.py computes it (solve)."""

SHARE_COLUMN = "FIRST_SHARE"
"""The same, as a column of an .mtz file."""

RESPONSE_HELP = """
How much the intensity of each observation depends on its own |F|: half the relative change
of I over that of |F|. It is 1 in single scattering, and 0 where an intensity comes from
other reflections alone: such an observation hardly counts. Below 0, more |F| would make the
reflection weaker, as in thick crystals.
"""

MOST_DOTS = 3000


@dataclass(frozen=True)
class StructureReport:
    """
    A second correction, to be told.

    Attributes:
        source: Name of the structure's file.
        found: The correction.
        calculated: Shape (u,), |F| of the structure for the measured reflections.
        merged: Shape (u,), plainly merged intensities.
        cycles: All corrections; found is the last one kept.
        choice: From the indices of the data to those of the structure.
        refined: The structure, refined against what is written; None where it was not.
        problem: Why it was not.
        files: The refined structure as files, by name.
        elements: How much each of its elements scatters.
        solved: How the structure was found; None where it was given.
        turned: Why the mirror image of a given one was taken; None where it was not.
    """

    source: str
    found: SecondCorrection
    calculated: np.ndarray
    merged: np.ndarray
    cycles: Cycles
    choice: Reindexing
    refined: Refinement | None = None
    problem: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    elements: tuple[ElementScattering, ...] = ()
    solved: SolvedStructure | None = None
    turned: Hands | None = None

    def last_structure(self) -> xray.structure:
        """Give the structure from which the last refinement starts."""
        last = self.cycles.last
        if last.refinement is not None and last.refinement.converged:
            return last.refinement.structure
        return last.structure

    def amplitude_sets(self) -> dict[str, np.ndarray]:
        """Give amplitudes by name: merged, after the first and the second correction."""
        return {
            "merged": amplitudes(self.merged),
            "first": self.found.first.F,
            "second": self.found.estimate.F,
        }

    def r1(self) -> dict[str, float]:
        """R1 of each set against the structure."""
        return {
            name: float(r_factor(F, self.calculated)[0])
            for name, F in self.amplitude_sets().items()
        }

    def shares(self) -> np.ndarray:
        """Shape (u,): the part of each amplitude that is still the first estimate."""
        if not self.found.n_steps:
            return np.ones(len(self.merged))
        return 1 - self.found.step.information

    def merged_columns(self, strength: float) -> dict[str, np.ndarray]:
        """Columns for a merged .mtz, shape (u,); none where it is not what was found."""
        if strength != 1 or not self.found.n_steps:
            return {}
        return {SHARE_COLUMN: self.shares()}

    def sentences(self) -> list[str]:
        """For the log and the page."""
        told = [
            *solved_sentences(self.solved),
            self._verdict(),
            *self._from_structure(),
        ]
        r1, n = self.r1(), self.cycles.n_kept
        refined = f" (as refined before cycle {n})" if n > 1 else ""
        second = f", {r1['second']:.3f} after the second" if self.found.n_steps else ""
        told.append(
            f"{R1_STRUCTURE}{refined}: {r1['merged']:.3f} merged, {r1['first']:.3f} after the first "
            f"correction{second}. This is no independent "
            "test: the structure took part, and where atoms are missing or wrong a higher "
            "R1 can be right."
        )
        kinematic, dynamical = self.found.r1
        told.append(
            f"R1 of single observations with the first estimate: {kinematic:.3f} with "
            f"single scattering, {dynamical:.3f} with multiple scattering, each crystal on "
            "scales of its own along its rotation. The first can be lower: the first estimate was made to agree "
            "with these observations."
        )
        told += cycles_sentences(self.cycles)
        told += [self._hand(), *refined_sentences(self.refined, self.problem)]
        given = self.cycles.cycles[0].structure
        again, tried = self.cycles.n_kept > 1, len(self.cycles.cycles) > 1
        told += atoms_sentences(self.refined, given, again, tried)
        return [*told, *elements_sentences(self.refined, self.elements)]

    def _from_structure(self) -> list[str]:
        """Say how much of the amplitudes the observations determine; of no step nothing."""
        if not self.found.n_steps:
            return []
        shares, F, width = self.shares(), self.found.estimate.F, self.found.step.width
        n = self.cycles.n_kept
        refined = f", as refined before cycle {n}" if n > 1 else ""
        allowed = f"by {width:.2g} times what the errors of the first estimate allow"
        if width == 1:
            allowed = "as far as the errors of the first estimate allow"
        undetermined = self.undetermined()
        are = "is" if undetermined == 1 else "are"
        return [
            f"Phases of the potential are those of {self._structure()}{refined}.{self._potential()} "
            f"On average {100 * np.average(shares, weights=F):.0f} % of an amplitude "
            "is still the first estimate (that without a structure), weighted by |F|; "
            f"{counted(undetermined, 'reflection')} of {len(F):,} {are} not determined by "
            "observations, which say less than the first estimate, with large errors. "
            f"Observations may move an amplitude {allowed}: so held-out ones are predicted best."
        ] + self._tilts()

    def _potential(self) -> str:
        """Say where its amplitudes are from."""
        believed = self.found.believed
        if believed is None:
            return (
                " Its amplitudes are from the data: with amplitudes between those of data and structure "
                "held-out observations are not predicted better, or less certainly."
            )
        return (
            " Its amplitudes lie between those of the data and of the structure, by the errors of either, "
            f"of which the structure decides {100 * believed.mean_share:.0f} % in the first step (errors of the "
            f"data {believed.stretch:g} times as large as stated agree best with it): held-out observations are "
            "predicted better so than with amplitudes of the data. Amplitudes that are found start from "
            "the first estimate alone."
        )

    def _tilts(self) -> list[str]:
        """Say how far orientations were off."""
        tilts = self.found.tilts
        if not tilts.used:
            return []
        return [
            "Intensities say more of the orientations than the data had: along each rotation the beam "
            f"was tilted towards the rotation axis, by {tilts.rms:.2f}° (root mean square), and "
            f"observations that took no part in it are predicted better, z = {tilts.z:.1f}."
        ]

    def undetermined(self) -> int:
        """Count reflections that observations determine less than the first estimate."""
        if not self.found.n_steps:
            return 0
        return int(np.count_nonzero(self.found.step.undetermined))

    def _verdict(self) -> str:
        found = self.found
        one, other = found.by_observation, found.by_reflection
        z = f"{one.z:.1f}".replace("-", "−")
        figures = (
            f"Σ|ΔF|/ΣFo of {one.n:,} observations, each predicted without itself, "
            f"{one.before:.3f} with the first estimate and {one.after:.3f} after a step, "
            f"z = {z} over {counted(one.n_reflections, 'reflection')}; of reflections "
            f"left out whole {other.before:.3f} and {other.after:.3f}"
            f"{self._by_crystal()}"
        )
        if found.n_steps:
            return (
                f"The structure helps: held-out observations are predicted better "
                f"({figures}). {counted(found.n_steps, 'step')} taken."
            )
        return (
            "The structure does not help: held-out observations are not predicted better by "
            f"{found.needed:g} standard {'deviation' if found.needed == 1 else 'deviations'} ({figures}). No step was taken: the amplitudes are those of the "
            "first correction, without a structure. It may be too incomplete or wrong, or the thickness is, or "
            "the data say too little."
        )

    def _by_crystal(self) -> str:
        one, n = self.found.by_crystal, len(self.found.crystals)
        if n < 2:
            return ""
        return f", of crystals {one.before:.3f} and {one.after:.3f}"

    def _hand(self) -> str:
        here = "as given" if self.solved is None and self.turned is None else "as taken"
        given = self.cycles.cycles[0].structure
        return hand_sentence(self.found.hands, here, given)

    def _structure(self) -> str:
        """Name the structure whose phases were used."""
        return (
            self.source if self.turned is None else f"the mirror image of {self.source}"
        )

    def warnings(self) -> list[str]:
        """Say that the structure is not what was given, or hardly that of the crystals."""
        taken = self.cycles.cycles[0].structure
        return [
            *turned_warnings(self.turned, self.source, taken),
            *doubtful_structure(self.source, self.r1()["first"]),
            *ends_of_range(self.found.crystals),
        ]

    def crystals_table(self) -> TextTable:
        """Give the thickness of each crystal."""
        rows = []
        for number, one in enumerate(self.found.crystals):
            shape = one.shape
            law = {"uniform": "uniform", "slab": "plate"}.get(
                shape.law, f"wedge ±{100 * shape.within:.0f} %"
            )
            fitted = one.n > 0
            rows.append(
                [
                    str(number),
                    f"{shape.thickness:.0f}({one.su:.0f})"
                    if fitted
                    else f"{shape.thickness:.0f}",
                    law,
                    str(one.n),
                    f"{one.r1_kinematic:.3f}" if fitted else "–",
                    f"{one.r1:.3f}" if fitted else "–",
                ]
            )
        header = ["crystal", "thickness [Å]", "shape", "observations used"]
        header += ["R1 kinematic", "R1 dynamical"]
        return TextTable("Thickness of the crystals", header, rows)

    def shells_table(self, d_spacing: np.ndarray) -> TextTable:
        """
        Give R1 and shares by resolution.

        Args:
            d_spacing: Shape (u,) [Å].
        """
        shells, shares = resolution_shells(d_spacing, N_SHELLS), self.shares()
        sets, rows = self.amplitude_sets(), []
        scale = {name: r_factor(F, self.calculated)[1] for name, F in sets.items()}
        for k in range(len(shells)):
            own = (shells.shell == k) & np.isfinite(self.calculated)
            f_c = self.calculated[own]
            row = [f"{shells.d_max[k]:.2f} to {shells.d_min[k]:.2f}", str(own.sum())]
            for name, F in sets.items():
                off = np.abs(scale[name] * F[own] - f_c).sum()
                row.append(f"{off / f_c.sum():.3f}" if f_c.sum() > 0 else "–")
            if self.found.n_steps:
                row.append(f"{np.mean(shares[own]):.2f}" if own.any() else "–")
                row.append(str(int(self.found.step.undetermined[own].sum())))
            rows.append(row)
        header = ["d [Å]", "reflections", "R1 merged", "first", "second"]
        header += [FIRST_SHARE, "undetermined"] if self.found.n_steps else []
        return TextTable(
            f"{R1_STRUCTURE} by resolution (not independent of it)", header, rows
        )

    def section(self, miller_index: np.ndarray, d_spacing: np.ndarray) -> Section:
        """
        For the page.

        Args:
            miller_index: Shape (u, 3).
            d_spacing: Shape (u,) [Å].
        """
        undetermined = undetermined_table(self.found, miller_index, d_spacing)
        return Section(
            "with_structure",
            "With the provisional structure"
            if self.solved is None
            else "With the structure that was solved",
            "Structure",
            self.sentences(),
            {"response": self._response_plot()},
            (
                *refined_tables(self.refined, self.cycles),
                self.shells_table(d_spacing),
                *([] if undetermined is None else [undetermined]),
                self.crystals_table(),
            ),
        )

    def _response_plot(self) -> dict:
        found = self.found
        size = found.step.F / found.prior.expected
        response, E = found.response, size[found.unique]
        known = np.flatnonzero(np.isfinite(response))
        step = max(1, len(known) // MOST_DOTS)
        shown = known[::step]
        y = np.clip(response[shown], -1, 2)
        return new_plot(
            [points(E[shown], y, BLUE, "observations")],
            RESPONSE_HELP,
            "Response of intensities to their own |F|",
            xaxis=log_axis("normalised amplitude E", E[shown]),
            yaxis=axis("d ln I / 2 d ln |F|"),
        )

    def in_short(self) -> str:
        """Say on the first screen of the page that a structure was solved, if one was."""
        told = solved_in_short(self.solved, self.refined)
        if told and not self.found.n_steps:
            told += (
                " No step with its phases was taken: the correction is that without it."
            )
        return told

    def steps(self, output) -> list[Step]:
        """
        Say how to go on with the refined structure.

        Args:
            output: Names of files, as the command's ``output`` scope.
        """
        if not self.files.get(output.refined) or not self.files.get(output.refined_hkl):
            return []
        return [
            Step(
                f"{output.refined} and {output.refined_hkl} hold the refined structure and "
                "the intensities that it was refined against: SHELXL takes them under one "
                "name (.ins, .hkl), Olex2 opens the .res. Put in what the difference peaks "
                "show, and give the result as structure= again, with the data that were "
                "given here."
            )
        ]

    def as_dict(self, miller_index: np.ndarray, d_spacing: np.ndarray) -> dict:
        """
        Give what goes into a JSON file.

        Args:
            miller_index: Shape (u, 3).
            d_spacing: Shape (u,) [Å].
        """
        found, shares = self.found, self.shares()
        response = found.response[np.isfinite(found.response)]
        parts = [0.05, 0.25, 0.5, 0.75, 0.95]
        return {
            "source": self.source,
            "solved": self.solved and self.solved.as_dict(),
            "steps": found.n_steps,
            "held_out": {
                "by_observation": found.by_observation.as_dict(),
                "by_reflection": found.by_reflection.as_dict(),
                "by_crystal": found.by_crystal.as_dict()
                if len(found.crystals) > 1
                else None,
                "later_steps": finite_or_none(found.steps_r1),
            },
            "r1_structure": self.r1(),
            "r1_observations": {"kinematic": found.r1[0], "dynamical": found.r1[1]},
            "share_of_first_estimate": float(
                np.average(shares, weights=found.estimate.F)
            ),
            "undetermined": self.undetermined(),
            "reflections": reflection_columns(found, miller_index, d_spacing),
            "width": found.step.width,
            "potential": found.believed and found.believed.as_dict(),
            "errors": found.step.law.as_dict(),
            "response_quantiles": dict(
                zip(map(str, parts), np.quantile(response, parts).tolist())
            ),
            "crystals": [one.as_dict() for one in found.crystals],
            "tilts": found.tilts.as_dict(),
            "hands": found.hands and found.hands.as_dict(),
            "hands_given": self.turned and self.turned.as_dict(),
            "cycles": cycles_document(self.cycles),
            "refined": self.refined and self.refined.as_dict(),
            "elements": [{**asdict(one), "z": one.z} for one in self.elements],
            "not_refined": self.problem or None,
        }
