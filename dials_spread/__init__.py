"""Compare spot intensities between images of one orientation; a DIALS plug-in."""

__version__ = "0.1.0"
