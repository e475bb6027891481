"""
Synthetic data of many crystals: tables, frames and images.

Modules:
    compositions: random compositions of organic, mixed and inorganic compounds
    crystals: one crystal of a simulated data set, from a seed to an integrated table
    datasets: integrated 3D electron-diffraction data sets with a known truth
    detection: how a pixel counts electrons
    driver: where crystals are simulated
    frame_background: what lies between the spots of a frame
    frame_contents: what is expected on the frames of virtual crystals
    frame_spots: where the counts of reflections fall, on the pixels and the frames of a
        scan
    frames: raw frames of virtual crystals, written to files
    geometry: virtual 3D electron-diffraction experiments, as dxtbx models without
        images
    image_files: files of raw frames
    intensities: from squared amplitudes to what integration would have written
    noise: counting statistics of integrated intensities
    parameters: the parameters of a simulation, as the command and whatever includes
        them declare them
    placement: random places for atoms in a cell, none too near to another
    prediction: reflections that a virtual experiment records, with the columns of
        integrated data
    random_compounds: random compounds
    structures: random light-atom crystal structures
    tables: observations with a known spread, without crystals
"""

from __future__ import annotations
