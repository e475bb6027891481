"""
One page a command: parameters and run, nothing else.

Modules:
    _at_measured: what dials.simulate_ed does with charges, and with measured data
    _kept_on_workers: dials.compare_images where observations stay on workers
    _simulation_setup: from the parameters of dials.simulate_ed to structure, experiment
        and frames
    _with_structure: the second correction of dials.ml_correct
    compare_images: find images of the same orientation across crystals and compare
        their spots
    compare_placement: correct before scaling, after it, or not at all
    import_pets: make .expt and .refl of the .cif_pets files of PETS2
    ml_correct: correct electron-diffraction intensities for multiple scattering
    multiplex_corrected: xia2.multiplex with the correction for multiple scattering in it
    simulate_ed: simulate 3D electron-diffraction data of many crystals, with multiple
        scattering
"""

from __future__ import annotations
