"""Ensembles as users bring them: of any type of number and any size."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

#: Types of numbers that scores are given.
DTYPES = ("float16", "float32", "float64", "int16", "int64", "uint8")

#: Sizes of numbers: densities in g/cm³ of the interstellar medium to number densities per m³ of a plasma.
SCALES = (1e-24, 1e-12, 1e-3, 1.0, 1e3, 1e12, 1e25)


@st.composite
def ensembles(draw, cells=(3, 4), dtypes=DTYPES):
    """Members (member, y, x) and truth (y, x) of one type, some of them tied, none negative."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    members = draw(st.integers(2, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if dtype.kind in "iu":
        values = rng.integers(0, draw(st.sampled_from([3, 250])), size=(members + 1, *cells)).astype(dtype)
    else:
        scale = draw(st.sampled_from(SCALES if dtype.itemsize > 2 else (1e-2, 1.0, 1e2)))
        values = (scale * (draw(st.sampled_from([0.0, 100.0])) + rng.random((members + 1, *cells)))).astype(dtype)
        values[: draw(st.integers(0, 2))] = values[-1]
    return values[1:], values[0]
