"""
What is known of an observation without the structure, as numbers that mean the same in
every crystal.

Modules:
    all_features: all features of a compound, as two tables: of observations and of
        unique reflections
    crystals: features of a crystal and of a compound
    feature_groups: what features ask of a group of crystals
    published: the features of the published method, for comparison
    registry: what every feature is, in which unit, and why it should help
"""

from __future__ import annotations
