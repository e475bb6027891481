"""The parameters of a simulation at measured experiments, for the command."""

from __future__ import annotations

from dials_spread.observations import right_factors

MEASURED = (
    """
measured
  .help = "Used where measured .expt and .refl files are given, whose crystals are then"
          "simulated reflection by reflection."
{
  lorentz = *auto applied missing
    .type = choice
    .help = "Whether the intensities contain the Lorentz correction. auto takes it as"
            "missing where the column lp is absent or 1 throughout, as with virtual"
            "frames."
"""
    + right_factors.PHIL
    + """
  setting = *auto given
    .type = choice
    .help = "Which reindexing operator brings the structure to the data. auto tries every"
            "operator that the lattice allows and takes the one with the lowest R1; given"
            "takes the indices as they are."
  intensity = *auto scale profile sum
    .type = choice
    .help = "Which intensities are compared. auto takes scaled intensities where every"
            "table is scaled, otherwise profile-fitted ones where every table has them,"
            "otherwise summed ones."
  law = *auto uniform wedge slab
    .type = choice
    .help = "Shape of the crystals: of the same thickness from all sides (uniform), a"
            "wedge, or a plate with the path t / cos(phi - phi0) (slab). auto takes the"
            "simplest shape that no other clearly beats on held-out reflections."
  range = 20 3000
    .type = floats(size=2, value_min=1, value_max=20000)
    .help = "Smallest and largest thickness in angstrom that are tried."
  thickness = None
    .type = float(value_min=1, value_max=20000)
    .help = "Thickness of all crystals in angstrom. By default it is fitted for each"
            "crystal."
  within = 0
    .type = float(value_min=0, value_max=0.99)
    .help = "How much a thickness given by measured.thickness varies within a crystal:"
            "half the range of thicknesses, as a fraction of their mean."
  d_min = None
    .type = float(value_min=0.25, value_max=100)
    .help = "Resolution limit in angstrom. By default it is that of the data."
  hand = True
    .type = bool
    .help = "Also compare the data of three crystals with the inverted structure."
}
"""
)
