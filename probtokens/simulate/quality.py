"""What is recorded about each simulation's quality, and when a simulation has failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probtokens.data.the_well.faults import fault as damaged
from probtokens.data.the_well.layout import check_values
from probtokens.fields import field_spec

#: A run counts as ignited when any stored temperature [K] exceeds this.
IGNITION_TEMPERATURE = 2000.0

#: Largest relative drift of mass or energy that counts as round-off, by precision. The scheme conserves both, so a
#: run beyond it does not solve the equations. Runs of a thousand steps stay below a hundredth of it.
DRIFT_TOLERANCE = {"float32": 1e-4, "float64": 1e-10}

#: Name of the root attribute that lists a file's failed runs.
FAILED_RUNS = "failed_runs"

#: Root attributes hold at most 64 KiB together.
_REASON_LENGTH = 160


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A simulation that is left out of its file.

    Attributes
    ----------
    index
        Its number among the simulations planned for the file.
    shock_pressure
        [GPa].
    reason
        What went wrong.
    """

    index: int
    shock_pressure: float
    reason: str

    def __str__(self) -> str:
        return f"run {self.index} ({self.shock_pressure:.2f} GPa): {self.reason}"


def ignition(temperature: np.ndarray, time_step: float) -> dict[str, np.ndarray]:
    """Scalars that tell whether and when simulations ignite, each (simulation,).

    Parameters
    ----------
    temperature
        Stored frames [K], (simulation, time, y, x).
    time_step
        Time between them [ns].

    Returns
    -------
    ``max_temperature`` [K]; ``ignited``, 1 or 0; ``ignition_time`` [ns], that of the first ignited
    frame. Where nothing ignites it is the time of the last frame, a right-censored observation: an
    analysis of ignition times has to use ``ignited`` too.
    """
    hottest = temperature.max(axis=(2, 3)).astype(np.float64)
    hot = hottest > IGNITION_TEMPERATURE
    ignited = hot.any(axis=1)
    first = np.where(ignited, hot.argmax(axis=1), temperature.shape[1] - 1)
    return {"max_temperature": hottest.max(axis=1), "ignited": ignited.astype(np.float64), "ignition_time": first * time_step}


def fault(frames: Mapping[str, np.ndarray], units: Mapping[str, str], drift: float, dtype: str) -> str | None:
    """Why a simulation must not be used; ``None`` if it may.

    Parameters
    ----------
    frames
        Field name -> (time, y, x).
    units
        Unit of every field.
    drift
        Relative drift of mass or energy.
    dtype
        Precision that it was computed in.
    """
    for name, values in frames.items():
        try:
            check_values(values, field_spec(name, units[name]), path=Path(), simulation=0)
        except ValueError as error:
            return f"{name}, {str(error).partition('simulation 0, ')[2]}"
    if not drift <= DRIFT_TOLERANCE[dtype]:
        return f"mass or energy drifts by {drift:.2g} of its total, more than {DRIFT_TOLERANCE[dtype]:g}"
    return None


def dump_failed(failed: Iterable[FailedRun]) -> str:
    """Failed runs as JSON text for the attribute of a file."""
    return json.dumps([asdict(run) | {"reason": run.reason[:_REASON_LENGTH]} for run in failed])


def load_failed(attributes: Mapping[str, Any], path: Path) -> tuple[FailedRun, ...]:
    """Failed runs that a file's root attributes list; none if it says nothing about them.

    Raises
    ------
    ValueError
        If the list cannot be understood; the message names the file ``path``.
    """
    try:
        return tuple(FailedRun(**entry) for entry in json.loads(attributes.get(FAILED_RUNS) or "[]"))
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(path, "a list of failed runs", error, where=f"attribute {FAILED_RUNS!r}") from error
