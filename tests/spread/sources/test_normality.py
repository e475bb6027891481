"""The statistic of Anderson and Darling is that of scipy, in all its releases."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from dials_spread.spread.sources.normality import anderson_darling


@pytest.mark.parametrize("degrees", [3, 1000])
def test_the_statistic_is_that_of_scipy(degrees):
    values = 2.0 + 5.0 * np.random.default_rng(1).standard_t(degrees, 500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = stats.anderson(values, "norm").statistic
    assert anderson_darling(values) == pytest.approx(theirs, rel=1e-10)
