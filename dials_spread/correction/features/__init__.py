"""
What is known of an observation without the structure, as numbers that mean the same in
every crystal.

Modules:
    all_features: all features of a compound, as two tables
    crystals: features of a crystal and of a compound
    neighbours: what the merged amplitudes of neighbours say about a reflection
    published: the features of the published try, for comparison
    reflections: features of observations and of unique reflections
    registry: what every feature is, in which unit, and why it should help
"""

from __future__ import annotations
