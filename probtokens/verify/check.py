"""Cases and checks: one number against its reference, within a tolerance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Relation = Literal["relative", "absolute", "at_most", "at_least"]


@dataclass(frozen=True, slots=True)
class Check:
    """One measured number and what it should be.

    Attributes
    ----------
    quantity, unit
        What was measured.
    expected, measured
        Reference and result, in ``unit``.
    tolerance
        Largest allowed :attr:`error`; for ``at_most`` and ``at_least`` the bound is ``expected`` itself.
    relation
        ``relative`` and ``absolute`` compare with ``expected``; ``at_most`` and ``at_least`` take it as a bound.
    """

    quantity: str
    unit: str
    expected: float
    measured: float
    tolerance: float = 0.0
    relation: Relation = "relative"

    @property
    def error(self) -> float:
        """Signed deviation: relative to ``expected``, or in ``unit``."""
        difference = self.measured - self.expected
        return difference / abs(self.expected) if self.relation == "relative" else difference

    @property
    def passed(self) -> bool:
        """Whether the number is as it should be; never for NaN."""
        if self.relation == "at_most":
            return self.measured <= self.expected
        if self.relation == "at_least":
            return self.measured >= self.expected
        return math.isfinite(self.error) and abs(self.error) <= self.tolerance


@dataclass(frozen=True, slots=True)
class Case:
    """A named experiment.

    Attributes
    ----------
    name
        Identifier on the command line.
    title
        What it shows, for people.
    source
        Where the reference comes from.
    run
        Does the experiment.
    """

    name: str
    title: str
    source: str
    run: Callable[[], Sequence[Check]]
