"""
The parameters of a simulation, as the command and whatever includes them declare them.
"""

from __future__ import annotations

STRUCTURE = """
structure = None
  .type = str
  .help = "What is simulated: a CIF, mmCIF, SHELX .ins or .res, or PDB file; one of the"
          "structures that come with the program (abiraterone, glycine, paracetamol,"
          "quartz); or random, for a compound drawn at random."
cif_block = None
  .type = str
  .help = "Which data block of the CIF is taken, where it holds several structures."
random {
  kind = *any organic mixed inorganic
    .type = choice
    .help = "Which compounds structure=random draws from: organic ones, mixed ones"
            "(organic with metals), inorganic ones, or any."
  space_group = None
    .type = str
    .help = "The space group of the random compound, as a symbol or a number. By"
            "default it is drawn, too."
  volume = 300 4000
    .type = floats(size=2, value_min=50)
    .help = "Limits of the volume of its unit cell in cubic angstrom."
}
"""

EXPERIMENT = """
n_crystals = 12
  .type = int(value_min=1)
  .help = "Number of crystals. Each is an experiment with a random orientation, a"
          "thickness and a scale of its own."
d_min = 0.9
  .type = float(value_min=0.25)
  .help = "Resolution limit in angstrom. Electron form factors end at 0.25."
scan_width = 40
  .type = float(value_min=0.01, value_max=360)
  .help = "Angle in degrees that each crystal is turned through."
image_width = 1
  .type = float(value_min=0.001, value_max=90)
  .help = "Rotation during one image in degrees."
voltage = 200
  .type = float(value_min=10, value_max=3000)
  .help = "Acceleration voltage in kV."
wavelength = None
  .type = float(value_min=0.001, value_max=0.2)
  .help = "Wavelength in angstrom, instead of a voltage."
exposure = 1
  .type = float(value_min=1e-6)
  .help = "Exposure of an image in seconds; the dead time is compared with it."
mosaicity = 0.05
  .type = float(value_min=0.0001, value_max=5)
  .help = "Standard deviation of the rocking curves in degrees: over how many images a"
          "reflection is spread. See also beams.mosaic."
n_pixels = 1024
  .type = int(value_min=64, value_max=16384)
  .help = "Pixels along each edge of the square detector, which is as far from the"
          "crystal as d_min allows. 512 for a Timepix of four chips."
tilt_spread = None
  .type = float(value_min=0, value_max=180)
  .help = "Standard deviation in degrees of the tilt of c* from the beam in the middle"
          "of the scan, for plates that lie on their support. All orientations are"
          "equally likely by default."
"""

SCATTERING = """
wave = *dynamical kinematic
  .type = choice
  .help = "dynamical simulates multiple scattering by Bloch waves. kinematic leaves it"
          "out: the same crystals and noise, for a control."
thickness {
  median = 400
    .type = float(value_min=0)
    .help = "Median thickness of the crystals in angstrom."
  spread = 0.3
    .type = float(value_min=0, value_max=3)
    .help = "How much crystals differ: the standard deviation of the logarithm of the"
            "thickness."
  within = 0.3
    .type = float(value_min=0, value_max=0.99)
    .help = "How much the thickness varies within a crystal: half the range, as a"
            "fraction of the mean. 0.5 is a wedge from half to one and a half of it."
  n_within = 5
    .type = int(value_min=1, value_max=100)
    .help = "Number of thicknesses that stand for this range."
  slab = False
    .type = bool
    .help = "Crystals are plates normal to the beam at rotation zero, so that the path"
            "through them is the thickness over the cosine of the rotation."
}
absorption = 0
  .type = float(value_min=0, value_max=1)
  .help = "Imaginary part of the potential as a fraction of the real part. About 0.1 is"
          "usual for thermal diffuse and other inelastic scattering."
beams
  .expert_level = 1
{
  s_max = 0.012
    .type = float(value_min=0.0001, value_max=1)
    .help = "Largest excitation error in reciprocal angstrom of a beam that takes part."
  s_window = 0.01
    .type = float(value_min=0.0001, value_max=1)
    .help = "Largest excitation error in reciprocal angstrom over which intensities are"
            "integrated. Not larger than beams.s_max."
  g_max = None
    .type = float(value_min=0.01, value_max=4)
    .help = "Largest length of a reciprocal-lattice vector in reciprocal angstrom of a"
            "beam that takes part. 1.2 / d_min by default."
  mosaic = False
    .type = bool
    .help = "Average dynamical intensities over blocks whose orientations differ by the"
            "mosaicity. It takes several times as long and matters for thick crystals."
}
"""

NOISE = """
noise {
  mean_counts = 1000
    .type = float(value_min=0.001)
    .help = "Electrons in a reflection of mean |F|^2, passing at the mean speed, on a"
            "crystal of scale one: the dose."
  background = 1
    .type = float(value_min=0)
    .help = "Background in electrons per pixel and image."
  scale_spread = 0.3
    .type = float(value_min=0, value_max=10)
    .help = "Relative standard deviation of the scale from crystal to crystal."
  image_spread = 0.03
    .type = float(value_min=0, value_max=10)
    .help = "Relative standard deviation of the beam intensity from image to image."
  extra_error = 0
    .type = float(value_min=0, value_max=10)
    .help = "Relative standard deviation of an error of each observation beyond counting"
            "statistics."
  dead_time = 0
    .type = float(value_min=0, value_max=1)
    .help = "Seconds for which a pixel is blind after an electron; further electrons do"
            "not prolong it. About 5e-7 for a counting detector. Strong spots are"
            "recorded too weak."
  counting = True
    .type = bool
    .help = "Draw the counts at random. False gives exact intensities with the variances"
            "that counting would have had."
}
"""

FRAMES = """
frames
  .help = "What is on raw frames besides the spots, where output.images asks for them."
          "Background, dead time and counting are those of the noise above, the"
          "background being the mean over the detector."
{
  flat_fraction = 0.1
    .type = float(value_min=0, value_max=1)
    .help = "Fraction of the background that is the same everywhere. The rest falls from"
            "the direct beam outwards as a Lorentzian."
  background_width = 0.02
    .type = float(value_min=0.0001, value_max=10)
    .help = "Half width at half maximum of this Lorentzian in reciprocal angstrom."
  direct_beam = 1e6
    .type = float(value_min=0)
    .help = "Electrons of the direct beam in a frame; 0 for a beam stop."
  direct_beam_size = 1.5
    .type = float(value_min=0.01, value_max=1000)
    .help = "Standard deviation of the direct beam on the detector in pixels."
  point_spread = 0
    .type = float(value_min=0, value_max=100)
    .help = "Standard deviation in pixels by which the detector widens spots, whose own"
            "is 0.8 pixels, and the direct beam."
  saturation = None
    .type = int(value_min=1)
    .help = "Largest count of a pixel, beyond which it is marked as saturated. By"
            "default a million in CBF files, and 65,000 in SMV files."
}
"""

RUNNING = """
seed = 0
  .type = int(value_min=0)
  .help = "One seed gives one data set, bit for bit, however many processes there are."
nproc = Auto
  .type = int(value_min=1)
  .help = "Number of local processes; one for each core by default."
dask.scheduler = None
  .type = str
  .help = "Address of a running Dask scheduler, as tcp://host:8786, whose workers"
          "simulate the crystals instead of local processes."
"""

SIMULATION = STRUCTURE + EXPERIMENT + SCATTERING + NOISE + RUNNING

OUTPUT = """
output {
  experiments = simulated.expt
    .type = path
    .help = "The crystals, as an experiment list."
  reflections = simulated.refl
    .type = path
    .help = "Their reflections, with the columns of truth."
  structure = simulated.cif
    .type = path
    .help = "The compound that structure=random has drawn. None writes none."
  images = cbf smv
    .type = choice
    .help = "Raw frames of all crystals, with background, direct beam and noise, for"
            "dials.import and what follows: as miniCBF, which DIALS takes for a counting"
            "detector, or as SMV of 16 bits. About a megabyte a frame. None by default."
  image_folder = images
    .type = path
    .help = "Where the frames are written."
  log = dials.simulate_ed.log
    .type = path
  json = dials.simulate_ed.json
    .type = path
    .help = "What was simulated, for other programs. None writes none."
  html = dials.simulate_ed.html
    .type = path
    .help = "The report on measured data, or on charges; it needs no network. None"
            "writes none."
}
"""
