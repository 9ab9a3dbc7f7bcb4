from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from probtokens.data.moments import Moments


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=5), seed=st.integers(0, 2**16))
def test_streaming_equals_all_at_once(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = (rng.normal(size=(sum(lengths), 2, 3, 4)) * [[[1.0]], [[20.0]]] + [[[5.0]], [[-300.0]]]).astype(np.float32)
    moments = Moments(2)
    for part in np.split(frames, np.cumsum(lengths)[:-1]):
        moments.update(part)
    exact = frames.astype(np.float64)
    np.testing.assert_allclose(moments.mean, exact.mean(axis=(0, 2, 3)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moments.std, exact.std(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_array_equal(moments.least, frames.min(axis=(0, 2, 3)))
    np.testing.assert_array_equal(moments.most, frames.max(axis=(0, 2, 3)))
    np.testing.assert_allclose(moments.rms, np.sqrt(np.square(exact).mean(axis=(0, 2, 3))), rtol=1e-12)


def test_no_digits_lost_on_a_large_mean() -> None:
    moments = Moments(1)
    for offset in (0.0, 1.0):
        moments.update(np.full((1, 1, 2, 2), 2.0**23 + offset, dtype=np.float32))
    np.testing.assert_allclose(moments.std, [0.5], rtol=1e-12)
