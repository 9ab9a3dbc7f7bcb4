"""Checks pass and fail as they should."""

import pytest

from probtokens.verify.check import Check

NAN = float("nan")


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (Check("p", "GPa", 10.0, 10.09, 0.01), True),
        (Check("p", "GPa", 10.0, 9.89, 0.01), False),
        (Check("p", "GPa", -10.0, -10.05, 0.01), True),
        (Check("u", "km/s", 0.0, 1e-12, 1e-11, "absolute"), True),
        (Check("u", "km/s", 0.0, -1e-10, 1e-11, "absolute"), False),
        (Check("gas", "1", 0.02, 0.02, relation="at_most"), True),
        (Check("gas", "1", 0.02, 0.03, relation="at_most"), False),
        (Check("order", "1", 1.8, 1.9, relation="at_least"), True),
        (Check("order", "1", 1.8, 1.7, relation="at_least"), False),
        *[(Check("x", "1", 1.0, NAN, 1.0, relation), False) for relation in ("relative", "absolute", "at_most", "at_least")],
    ],
)
def test_verdict(check, passed):
    assert check.passed is passed


def test_error_is_signed_and_relative():
    assert Check("p", "GPa", 8.0, 7.6).error == pytest.approx(-0.05)
    assert Check("p", "GPa", -8.0, -7.6).error == pytest.approx(0.05)
    assert Check("p", "GPa", 8.0, 7.6, relation="absolute").error == pytest.approx(-0.4)
