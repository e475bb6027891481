"""
The parameters of a simulation, as the command and whatever includes them declare them.
"""

from __future__ import annotations

STRUCTURE = """
structure = None
  .type = str
  .help = "Structure that is simulated: a CIF, mmCIF, SHELX .ins or .res, or PDB file;"
          "one of the structures that come with the program (abiraterone, glycine,"
          "paracetamol, quartz); or random, for a compound made at random."
cif_block = None
  .type = str
  .help = "Name of the data block that is taken from a CIF with several structures."
random {
  kind = *any organic mixed inorganic
    .type = choice
    .help = "Kind of compound that structure=random makes: organic, mixed (organic with"
            "metals), inorganic, or any of them."
  space_group = None
    .type = str
    .help = "Space group of the random compound, as a symbol or a number. By default it"
            "is random, too."
  volume = 300 4000
    .type = floats(size=2, value_min=50, value_max=200000)
    .help = "Smallest and largest volume of the unit cell of the random compound in cubic"
            "angstrom."
}
"""

EXPERIMENT = """
n_crystals = 12
  .type = int(value_min=1, value_max=1000000)
  .help = "Number of crystals. Each is an experiment with a random orientation, a"
          "thickness and a scale of its own."
d_min = 0.9
  .type = float(value_min=0.25, value_max=10)
  .help = "Resolution limit in angstrom. Electron form factors are tabulated to 0.25"
          "angstrom."
scan_width = 40
  .type = float(value_min=0.01, value_max=360)
  .help = "Angle in degrees through which each crystal is rotated."
image_width = 1
  .type = float(value_min=0.001, value_max=90)
  .help = "Rotation in degrees during one image."
voltage = 200
  .type = float(value_min=10, value_max=3000)
  .help = "Acceleration voltage in kV."
wavelength = None
  .type = float(value_min=0.001, value_max=0.2)
  .help = "Wavelength in angstrom. By default it follows from the voltage."
exposure = 1
  .type = float(value_min=1e-6, value_max=1e6)
  .help = "Exposure time of an image in seconds, with which the dead time is compared."
mosaicity = 0.05
  .type = float(value_min=0.0001, value_max=5)
  .help = "Standard deviation of the rocking curves in degrees, which says over how many"
          "images a reflection is spread. See also beams.mosaic."
n_pixels = 1024
  .type = int(value_min=64, value_max=16384)
  .help = "Number of pixels along each edge of the square detector, such as 512 for a"
          "Timepix of four chips. The distance of the detector follows from d_min."
tilt_spread = None
  .type = float(value_min=0, value_max=180)
  .help = "Standard deviation in degrees of the tilt of c* from the beam in the middle"
          "of the scan, for plates that lie on their support. By default all"
          "orientations are equally likely."
"""

SCATTERING = """
wave = *dynamical kinematic
  .type = choice
  .help = "Scattering that is simulated: dynamical includes multiple scattering by Bloch"
          "waves; kinematic leaves it out, with the same crystals and noise, as a control."
thickness {
  median = 400
    .type = float(value_min=0, value_max=100000)
    .help = "Median thickness of the crystals in angstrom."
  spread = 0.3
    .type = float(value_min=0, value_max=3)
    .help = "Standard deviation of the natural logarithm of the thickness from crystal to"
            "crystal."
  within = 0.3
    .type = float(value_min=0, value_max=0.99)
    .help = "How much the thickness varies within a crystal: half the range, as a"
            "fraction of the mean. 0.5 is a wedge from half to one and a half of it."
  n_within = 5
    .type = int(value_min=1, value_max=100)
    .help = "Number of thicknesses that stand for the range of thickness.within."
  slab = False
    .type = bool
    .help = "Take crystals as plates that are normal to the beam at rotation zero, so that"
            "the path through them is the thickness divided by the cosine of the rotation."
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
    .type = float(value_min=0.001, value_max=1e9)
    .help = "Dose, as the counts (electrons) in a reflection of mean |F|^2 that crosses the"
            "Ewald sphere at mean speed, on a crystal of scale 1."
  background = 1
    .type = float(value_min=0, value_max=1e9)
    .help = "Background in electrons per pixel and image."
  scale_spread = 0.3
    .type = float(value_min=0, value_max=10)
    .help = "Relative standard deviation of the scale from crystal to crystal."
  image_spread = 0.03
    .type = float(value_min=0, value_max=10)
    .help = "Relative standard deviation of the beam intensity from image to image."
  extra_error = 0
    .type = float(value_min=0, value_max=10)
    .help = "Relative standard deviation of an additional random error of each"
            "observation."
  dead_time = 0
    .type = float(value_min=0, value_max=1)
    .help = "Dead time of a pixel after an electron in seconds (non-paralysable), about"
            "5e-7 for a counting detector. It makes strong spots too weak."
  counting = True
    .type = bool
    .help = "Simulate counting noise. With False intensities are exact, with the variances"
            "that counting would have given."
}
"""

FRAMES = """
frames
  .help = "What raw frames contain besides the spots, where output.images asks for them."
          "Background, dead time and counting are those of the scope noise, the background"
          "being the mean over the detector."
{
  flat_fraction = 0.1
    .type = float(value_min=0, value_max=1)
    .help = "Fraction of the background that is the same everywhere. The rest falls from"
            "the direct beam outwards as a Lorentzian."
  background_width = 0.02
    .type = float(value_min=0.0001, value_max=10)
    .help = "Half width at half maximum of this Lorentzian in reciprocal angstrom."
  direct_beam = 1e6
    .type = float(value_min=0, value_max=1e12)
    .help = "Electrons of the direct beam in a frame. 0 stands for a beam stop."
  direct_beam_size = 1.5
    .type = float(value_min=0.01, value_max=1000)
    .help = "Standard deviation of the direct beam on the detector in pixels."
  point_spread = 0
    .type = float(value_min=0, value_max=100)
    .help = "Standard deviation in pixels of the point spread of the detector, which widens"
            "the direct beam and the spots, whose own standard deviation is 0.8 pixels."
  saturation = None
    .type = int(value_min=1, value_max=2147483647)
    .help = "Largest count of a pixel. Pixels with more are marked as saturated. By default"
            "it is 1,000,000 in CBF files and 65,000 in SMV files."
}
"""

RUNNING = """
seed = 0
  .type = int(value_min=0, value_max=4294967295)
  .help = "Seed of the random numbers. The same seed gives the same data set, bit for bit,"
          "however many processes there are."
nproc = Auto
  .type = int(value_min=1, value_max=4096)
  .help = "Number of local processes. Auto starts one for each core."
dask.scheduler = None
  .type = str
  .help = "Address of a running Dask scheduler, such as tcp://host:8786, whose workers"
          "simulate the crystals instead of local processes."
"""

SIMULATION = STRUCTURE + EXPERIMENT + SCATTERING + NOISE + RUNNING

OUTPUT = """
output {
  experiments = simulated.expt
    .type = path
    .help = "Name of the file for the experiment list, with one experiment for each"
            "crystal."
  reflections = simulated.refl
    .type = path
    .help = "Name of the file for the reflections, with what was put in in extra columns."
  structure = simulated.cif
    .type = path
    .help = "Name of the CIF for the compound that structure=random has made. None writes"
            "no CIF."
  images = cbf smv
    .type = choice
    .help = "Format of raw frames, with background, direct beam and noise, that dials.import"
            "reads: miniCBF, which DIALS takes for a counting detector, or SMV of 16 bits. A"
            "frame takes about a megabyte. By default no frames are written."
  image_folder = images
    .type = path
    .help = "Name of the folder for the frames."
  log = dials.simulate_ed.log
    .type = path
    .help = "Name of the log file. None writes no log file."
  json = dials.simulate_ed.json
    .type = path
    .help = "Name of the JSON file with what was simulated, for other programs. None writes"
            "no JSON file."
  html = dials.simulate_ed.html
    .type = path
    .help = "Name of the report, a page for a browser that needs no network. It is written"
            "where measured data or charges are given. None writes no report."
}
"""
