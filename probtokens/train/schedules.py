"""Learning-rate schedules: pure functions of the step."""

from __future__ import annotations

import math


def warmup_cosine(step: int, n_steps: int, warmup: float = 0.1, floor: float = 0.02) -> float:
    """Factor on the learning rate: linear warm-up, then half a cosine down to ``floor``.

    Parameters
    ----------
    step
        Training step, 0 … ``n_steps`` - 1.
    n_steps
        Steps of the stage.
    warmup
        Part of the stage that warms up.
    floor
        Factor at the last step.
    """
    n_warmup = max(1, round(warmup * n_steps))
    if step < n_warmup:
        return (step + 1) / n_warmup
    progress = (step - n_warmup) / max(1, n_steps - 1 - n_warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
