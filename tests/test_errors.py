"""Errors in one line, with the names that the caller knows."""

import doctest

import pytest
from pydantic import ValidationError

from probtokens import errors
from probtokens.config import Interval


def test_the_examples_run() -> None:
    found = doctest.testmod(errors)
    assert found.attempted > 0
    assert found.failed == 0


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(ValueError, match="^pores: expected"), errors.renamed({"pixel_size": "--scale"}):
        raise ValueError("pores: expected dark, got pixel_size: 3")
    with pytest.raises(TypeError, match="^pixel_size: "), errors.renamed({"pixel_size": "--scale"}):
        raise TypeError("pixel_size: no number")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"low": 1.0}, "high: Field required, got {'low': 1.0}"),
        ({"low": 1.0, "high": 2.0, "mean": 1.5}, "mean: expected no argument of this name, got 1.5"),
        ({"low": 3.0, "high": 2.0}, "Interval: expected low <= high, got 3.0 > 2.0"),
        ({"low": True, "high": 2.0}, "low: expected a number"),
    ],
)
def test_one_line_says_the_argument_and_what_came(values: dict, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Interval(**values)
    assert str(errors.in_one_line(caught.value)) == told
