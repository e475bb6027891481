"""
How large the spread of equivalent observations is, and where it comes from.

Modules:
    residuals: how far each observation is from the mean of the others
    size: the excess relative spread s, by maximum likelihood
"""

from __future__ import annotations
