"""Mean, spread, root mean square and range of fields in one streaming pass."""

from __future__ import annotations

import numpy as np


class Moments:
    """First two moments and range of every field over time, y and x, merged batch by batch in float64.

    Batches are merged by the update of Chan, Golub and LeVeque (1983), which does not lose digits
    where the mean is large against the spread.
    """

    def __init__(self, n_fields: int) -> None:
        self.count = 0
        self.mean = np.zeros(n_fields)
        self.least, self.most = np.full(n_fields, np.inf), np.full(n_fields, -np.inf)
        self._squares = np.zeros(n_fields)

    def update(self, frames: np.ndarray) -> None:
        """Add frames of shape (time, field, y, x)."""
        count = frames.shape[0] * frames.shape[2] * frames.shape[3]
        for field in range(frames.shape[1]):
            values = frames[:, field].astype(np.float64)
            mean = values.mean()
            shift = mean - self.mean[field]
            weight = count / (self.count + count)
            self._squares[field] += np.square(values - mean).sum() + shift**2 * self.count * weight
            self.mean[field] += shift * weight
            self.least[field] = min(self.least[field], values.min())
            self.most[field] = max(self.most[field], values.max())
        self.count += count

    @property
    def std(self) -> np.ndarray:
        """Standard deviation over all values seen, shape (field,)."""
        return np.sqrt(self._squares / max(self.count, 1))

    @property
    def rms(self) -> np.ndarray:
        """Root mean square over all values seen, shape (field,)."""
        return np.hypot(self.mean, self.std)
