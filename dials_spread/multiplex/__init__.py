"""
The correction as a step of xia2.multiplex: all of xia2.multiplex_corrected but its page.

xia2 is asked for when the command runs, and nowhere else. Nothing of it is changed on
disk, and no program on PATH is replaced: two of its classes are extended for one run.

Modules:
    arguments: the parameters, and the arguments of dials.ml_correct that follow
    driver: xia2.multiplex with the step in it
    releases: all that is taken from xia2, and what differs between its releases
    section: the section that the report of xia2.multiplex gets
    side_by_side: both placements, each in a folder, and what they give
    step: one run of dials.ml_correct on data of xia2.multiplex
"""

from __future__ import annotations
