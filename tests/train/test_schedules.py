from __future__ import annotations

import pytest

from probtokens.train.schedules import warmup_cosine


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.1), (1, 0.2), (9, 1.0), (10, 1.0), (54, 0.52), (99, 0.02), (150, 0.02)],
)
def test_warmup_cosine_by_table(step: int, expected: float) -> None:
    assert warmup_cosine(step, 100) == pytest.approx(expected, abs=0.01)


def test_a_stage_of_one_step_runs_at_full_rate() -> None:
    assert warmup_cosine(0, 1) == 1.0
