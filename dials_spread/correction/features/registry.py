"""
What every feature is, in which unit, and why it should help.

The table is what a model file's card lists, what documentation prints and what a test
holds the code to.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Feature:
    """
    One feature.

    Attributes:
        name: As in the tables of a model.
        unit: "1" for a number without one.
        meaning: What it is.
        reason: Why a correction should know it.
    """

    name: str
    unit: str
    meaning: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """Give what goes into a model's card."""
        return asdict(self)


def _table(text: str) -> tuple[Feature, ...]:
    """Read lines of `name | unit | meaning | reason`."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return tuple(Feature(*(part.strip() for part in x.split(" | "))) for x in lines)


OBSERVATION = _table("""
mean_of_others | 1 | mean E of the reflection's other observations | what is expected without this observation's own noise
coupling_3 | 1 | √Σ q/(t + 0.03²) over U_rms | detours over excited beams, nearly resonant ones dominate: thin crystals
coupling_10 | 1 | √Σ q/(t + 0.1²) over U_rms | the same for middle thickness
coupling_30 | 1 | √Σ q/(t + 0.3²) over U_rms | the same where everything near the sphere takes part: thick crystals
strongest_path | 1 | √max q/(t + 0.1²) over U_rms | one strong detour interferes, many average out
excited | 1 | √Σ U_g² exp(-(s/0.003)²) over U_rms | how much leaves the beam into other reflections
excited_to_h | 1 | √Σ U_{h-g}² exp(-(s/0.003)²) over U_rms | how much of it could be scattered into h
signed_3 | 1 | Σ ⟨cos⟩ U_g U_{h-g} x/(x² + 0.03²) over U_rms | interference of detours of known phase with the direct way: has a sign
signed_10 | 1 | the same with 0.1 | the same for middle thickness
signed_30 | 1 | the same with 0.3 | the same for thick crystals, and for beams far from the sphere
noise | 1 | σ(I) over the expected intensity | noise widens the scatter, and biases roots
rate | 1/Å/rad | speed of the excitation error with the rotation | what is excited together with h changes slowly or fast while h is
ln_n | 1 | logarithm of the number of observations | how good the mean of the others is
shell | 1/Å | middle of the resolution shell, 0.1 1/Å wide | dynamical scattering depends on resolution
U_rms | 1/Å² | root mean square potential coefficient in the shell | absolute strength of the direct way
centric | 1 | whether the reflection is centric | centric amplitudes are distributed otherwise
""")

CRYSTAL = _table("""
strong_over_middle | 1 | mean E of strong over that of middling reflections | extinction lowers it with thickness
crystal_residual | 1 | Σ|E_i - E_k| / ΣE_k | crystals far from the mean of all are thick or bad
weakest_mean | 1 | mean E of the weakest 30 % | multiple scattering fills weak reflections
second_moment | 1 | ⟨E²⟩/⟨E⟩² | amplitudes become alike with thickness
fourth_moment | 1 | ⟨E⁴⟩/⟨E²⟩² | the same, more for the strong ones
crystal_noise | 1 | median σ over absolute intensity | tells noise from multiple scattering
""")

COMPOUND = _table("""
E4 | 1 | ⟨E_k⁴⟩/⟨E_k²⟩² of merged data | how far merged amplitudes have become alike
mean_E | 1 | ⟨E_k⟩ over its root mean square | the same for middling ones
weak_fraction | 1 | part of merged amplitudes below 0.4 | weak reflections vanish first
compound_U_rms | 1/Å² | root mean square of U_rms over reflections | absolute strength of the interaction
total_U | Å^-3.5 | √(ΣU²/V) over the reciprocal lattice | how much is coupled in all
ln_volume | 1 | logarithm of the cell volume [Å³], in steps of 0.5 | number of beams excited at a time
r_meas | 1 | R_meas after scaling | what orientation and thickness change
B | Å² | from Wilson's line | fall-off, partly of dynamical origin
wilson_misfit | 1 | root mean square deviation of ln Σ from the line | multiple scattering flattens it
ln_crystals | 1 | logarithm of the number of crystals, those of a few observations counted in part | what averages out
ln_multiplicity | 1 | logarithm of observations for each reflection | what averages out
compound_noise | 1 | median σ over absolute intensity | tells noise from multiple scattering
""")

REFLECTION = _table("""
E_k | 1 | normalised merged amplitude | what is to be corrected
mean | 1 | mean of signed amplitudes | less drawn up by single strong observations than E_k
least | 1 | least amplitude | what is added by detours, the least observation lacks
lower_quartile | 1 | lower quartile | a robust least
median | 1 | median | robust against single strong observations
upper_quartile | 1 | upper quartile | with the others, the shape of the distribution
largest | 1 | largest amplitude | of a strong reflection, what is least extinct
spread | 1 | standard deviation | spread comes from multiple scattering
mean_o10 | 1 | mean weighted 1/(0.15 + coupling_10)² | observations with little coupling are nearer to the truth
mean_o30 | 1 | mean weighted 1/(0.15 + 1.5 coupling_30)² | the same for thick crystals
mean_residual | 1 | mean weighted by crystals, 1/max(residual, 0.05)² | good crystals count more
coupling_3_mean | 1 | mean of coupling_3 | coupling that no orientation avoids
coupling_10_mean | 1 | mean of coupling_10 | the same
coupling_30_mean | 1 | mean of coupling_30 | the same
strongest_path_mean | 1 | mean of strongest_path | the same
excited_mean | 1 | mean of excited | the same
excited_to_h_mean | 1 | mean of excited_to_h | the same
signed_3_mean | 1 | mean of signed_3 | interference that no orientation avoids
signed_10_mean | 1 | mean of signed_10 | the same
signed_30_mean | 1 | mean of signed_30 | the same
coupling_10_least | 1 | least coupling_10 | how good the best observation is
coupling_slope | 1 | slope of amplitudes against coupling_10, drawn to 0 | what coupling does to this very reflection
signed_slope | 1 | slope against signed_30, drawn to 0 | whether detours interfere as their likely phases say
ln_n | 1 | logarithm of the number of observations | how far averages are to be believed
noise | 1 | σ of the merged over the expected intensity | how far E_k is to be believed
shell | 1/Å | middle of the resolution shell, 0.1 1/Å wide | dynamical scattering depends on resolution
epsilon | 1 | factor of the mean intensity from symmetry | strong on average
centric | 1 | whether the reflection is centric | centric amplitudes are distributed otherwise
U_rms | 1/Å² | root mean square potential coefficient in the shell | absolute strength of the direct way
triplets | 1 | Σ(E_g² - 1)(E_{h-g}² - 1)/√m | neighbours that are strong together
mean_pair | 1 | mean E_g² E_{h-g}² of strong g | detours at any orientation
largest_pair | 1 | largest E_g² E_{h-g}² | the strongest detour at any orientation
double_index | 1 | E²(2h) | the second order shares the systematic row
half_index | 1 | E²(h/2) | feeds h by double scattering in every orientation
""")

AVERAGED_CRYSTAL = tuple(
    Feature(f"{f.name}_mean", f.unit, f"mean over observations: {f.meaning}", f.reason)
    for f in CRYSTAL
)

MODEL_1 = OBSERVATION + CRYSTAL + COMPOUND
"""Columns of the features of observations, in order."""

REFLECTION_ALL = REFLECTION + AVERAGED_CRYSTAL + COMPOUND
"""Columns of the features of unique reflections, in order."""


def names(features: tuple[Feature, ...]) -> tuple[str, ...]:
    """Give the names of features, in order."""
    return tuple(feature.name for feature in features)
