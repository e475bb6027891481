"""The parameters of a simulation at measured experiments, for the command."""

from __future__ import annotations

MEASURED = """
measured
  .help = "Where measured .expt and .refl files are given: their crystals are simulated"
          "row by row."
{
  lorentz = *auto applied missing
    .type = choice
    .help = "Whether the intensities have the Lorentz factor. auto takes it as missing"
            "where the column lp is absent or 1 throughout, as in virtual frames."
  setting = *auto given
    .type = choice
    .help = "The structure is compared with the data in every way in which it can be"
            "laid on their lattice. auto takes the one that agrees best, given the"
            "indices as they are."
  intensity = *auto scale profile sum
    .type = choice
    .help = "Which intensities are compared. auto takes scaled ones where every table"
            "is scaled, else profile-fitted ones, else summed ones."
  law = *auto uniform wedge slab
    .type = choice
    .help = "Shape of the crystals along the beam: as thick from everywhere, a wedge, or"
            "a plate with the path t / cos(phi - phi0). auto takes the simplest that no"
            "other clearly beats on reflections that were not fitted."
  range = 20 3000
    .type = floats(size=2, value_min=1, value_max=20000)
    .help = "Thicknesses in angstrom between which the best is looked for."
  thickness = None
    .type = float(value_min=1, value_max=20000)
    .help = "Thickness of all crystals in angstrom. It is fitted crystal by crystal by"
            "default."
  within = 0
    .type = float(value_min=0, value_max=0.99)
    .help = "How much a given thickness varies within a crystal: half the range, as a"
            "fraction of the mean."
  d_min = None
    .type = float(value_min=0.25)
    .help = "Resolution limit in angstrom. That of the data by default."
  hand = True
    .type = bool
    .help = "Compare the data with the inverted structure, too, for three crystals."
}
"""
