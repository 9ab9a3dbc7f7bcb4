import pytest

from probtokens.time_left import TimeLeft, format_left


def estimates(reports: list[tuple[float, int]], total: int = 100) -> list[float | None]:
    """Estimates after reports of (time, steps done)."""
    now = 0.0
    left = TimeLeft(clock=lambda: now)
    found = []
    for time, done in reports:
        now = time
        found.append(left.update(done, total))
    return found


def test_steady_work_is_extrapolated():
    found = estimates([(float(t), 2 * t) for t in range(50)])
    assert found[:5] == [None] * 5
    for t, left in enumerate(found[5:], start=5):
        assert left == pytest.approx((100 - 2 * t) / 2)


def test_what_was_done_before_does_not_count():
    assert estimates([(0.0, 90), (10.0, 91)])[-1] == pytest.approx(90.0)


def test_a_slow_start_is_forgotten():
    reports = [(0.0, 0), (60.0, 1)] + [(60.0 + t, 1 + t) for t in range(1, 70)]
    assert estimates(reports)[-1] == pytest.approx(30.0)
    assert estimates(reports)[5] > 300.0


def test_nothing_is_said_before_there_is_progress_or_after_the_end():
    assert estimates([(0.0, 3), (20.0, 3), (40.0, 3)]) == [None, None, None]
    assert estimates([(0.0, 0), (20.0, 100)])[-1] is None


def test_a_new_total_begins_anew():
    now = 0.0
    left = TimeLeft(clock=lambda: now)
    left.update(0, 10)
    now = 10.0
    assert left.update(5, 10) == pytest.approx(10.0)
    assert left.update(5, 20) is None


def test_many_reports_are_thinned_out():
    now = 0.0
    left = TimeLeft(clock=lambda: now)
    for step in range(10_000):
        now = step * 0.001
        left.update(step, 100_000)
    assert len(left._samples) < 30
    assert left.update(10_000, 100_000) == pytest.approx(90.0, rel=0.02)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "10 s"), (31.0, "40 s"), (89.9, "90 s"), (90.0, "2 min"), (5300.0, "89 min"), (7200.0, "2.0 h")]
)
def test_durations_are_rough(seconds, text):
    assert format_left(seconds) == text
