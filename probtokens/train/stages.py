"""Stages of objectives that are made in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from pydantic import SerializeAsAny, ValidationError

from probtokens.config import Stage, StageConfig
from probtokens.errors import in_one_line
from probtokens.train.objectives import OBJECTIVES, Objective

#: Stage of every objective of recipes, by its name.
_KINDS: dict[str, type[Stage]] = {kind.model_fields["objective"].default: kind for kind in get_args(get_args(StageConfig)[0])}


class OwnStage(Stage):
    """Stage of an objective that is no recipe's."""

    objective: str = "own"
    own: SerializeAsAny[Objective]


def stage_of(objective: Objective, name: str, *, steps: int, horizon: int, batch_size: int, learning_rate: float) -> Stage:
    """Stage that trains by an objective; one whose windows have a fixed number of frames keeps it, whatever ``horizon`` is.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    schedule = {"name": name, "steps": steps, "horizon": horizon, "batch_size": batch_size, "learning_rate": learning_rate}
    kind = _KINDS.get(kind_of(objective))
    try:
        if kind is None:
            return OwnStage(own=objective, learn=objective.learn, **schedule)
        if kind.model_fields["horizon"].annotation is not int:
            del schedule["horizon"]
        return kind(**objective.model_dump(), **schedule)
    except ValidationError as error:
        raise in_one_line(error) from None


def kind_of(objective: Objective) -> str:
    """Name of the objective in recipes, or its class if it is none of theirs."""
    return next((name for name, kind in OBJECTIVES.items() if type(objective) is kind), type(objective).__name__)


def numbered(names: Sequence[str]) -> list[str]:
    """Names that are there once, with a number where one comes again.

    >>> numbered(["elbo", "rest", "elbo"])
    ['elbo', 'rest', 'elbo_2']
    """
    return [name if name not in names[:k] else f"{name}_{names[:k].count(name) + 1}" for k, name in enumerate(names)]


def over_all_stages(stages: Sequence[Stage], tell: Callable[[int, int, str], None]) -> Callable[[str, int, int, float], None]:
    """Progress of one stage as progress of the whole schedule, told as steps done, steps in all, and what is being done."""
    total, before = 0, {}
    for stage in stages:
        before[stage.name] = total
        total += stage.steps
    return lambda stage, step, steps, loss: tell(before[stage] + step, total, f"{stage}, loss {loss:.4g}")
