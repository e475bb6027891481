"""
The images that share most indices with each image, exactly.

Modules:
    finder: the door, find_partners
    counter: over an inverted index, without geometry
    tally: from counts to lists of partners
    search: outwards in angle, skipping what cannot be better
    bounds: what two images can share at most
    grid: beam directions by place on the sphere
"""

from __future__ import annotations

from dials_spread.partners.finder import Directions, Partners, find_partners

__all__ = ["Directions", "Partners", "find_partners"]
