"""
What dials.compare_images writes.

Packages:
    origins: where the spread comes from besides the orientation: beam, zone axes, noisy
        spots
    spread: how large the spread is: its tables, plots and part of the document

Modules:
    advice: what to do next, each step only where the results support it
    blocks_outputs: log, JSON and tables where no process holds all observations
    document: the JSON document of dials.compare_images
    figures: all plots of a comparison by name, and as files
    file_contents: what goes into the files
    findings: what was found, for a person who reads nothing else
    frames: raw frames of an experiment, and where their pixels lie in reciprocal space
    log_tables: the tables of the log about input and pairs, each with a line that says
        what it shows
    long_tables: tables of all pairs and all images, in a file beside the JSON document
    outputs: from the results of dials.compare_images to files
    page: the report of dials.compare_images
    pictures: two raw images in a common orientation, on one grid across the beam
    plots_maps: which images are matched with which, and where their beams run in the
        crystal
    plots_overview: all pairs at a glance
    plots_pairs: the plots of one pair of images
    plots_picture: the picture of two images in a common orientation
    sentences: what was given, how images were matched and how well they agree, in
        sentences
    source_sentences: where the spread comes from, in sentences, each by the rule that
        stands with it
    sphere: one region of the sphere that stands for all, and its map
"""

from __future__ import annotations
