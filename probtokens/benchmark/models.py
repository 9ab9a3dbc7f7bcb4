"""What a benchmark trains: our models, their variants, and methods of others, each from a cell's simulations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from probtokens.baselines import Mld, Parc, Persistence
from probtokens.baselines.mld import VariationalCodec, evolution_stages
from probtokens.baselines.parc_literal import LiteralParc
from probtokens.benchmark.cells import Cell, Task
from probtokens.config import ParcConfig
from probtokens.config.forecast import target_of
from probtokens.data import Normalizer
from probtokens.fields import FieldSpec, Grid
from probtokens.models.base import Forecaster
from probtokens.models.foreign import load_class, make_forecaster
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import NO_SOURCES
from probtokens.models.tokens import TokenForecaster
from probtokens.train.stages import stage_of


class Twin:
    """The deterministic twin of meso tokens: the same networks and steps, by regression alone, without any noise."""

    name = "twin"
    deterministic = True

    def __init__(self, tokens: TokenForecaster) -> None:
        self.tokens = tokens
        self.fields: tuple[FieldSpec, ...] = tokens.fields
        self.support = tokens.support

    def forecast(
        self, initial: torch.Tensor, context: torch.Tensor, *, grid: Grid, n_steps: int, n_draws: int, seed: int
    ) -> Iterator[torch.Tensor]:
        """The rollout of means, as a single member."""
        return self.tokens.forecast(initial, context, grid=grid, n_steps=n_steps, n_draws=1, seed=seed, sources=NO_SOURCES)


class MeanOf:
    """The mean of several deterministic forecasts, as a single member."""

    deterministic = True

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = members
        self.name = f"mean of {len(members)}"
        self.fields, self.support = members[0].fields, members[0].support

    def forecast(
        self, initial: torch.Tensor, context: torch.Tensor, *, grid: Grid, n_steps: int, n_draws: int, seed: int
    ) -> Iterator[torch.Tensor]:
        """Mean of the members' frames."""
        forecasts = [one.forecast(initial, context, grid=grid, n_steps=n_steps, n_draws=1, seed=seed) for one in self.members]
        return (torch.stack(frames).mean(dim=0) for frames in zip(*forecasts, strict=True))


def tokens(task: Task) -> Forecaster:
    """Micro tokens, adapted; without meso simulations draws of the prior."""
    if task.cell.n == 0:
        return MesoTokens.of_prior(task.known(), task.settings.meso)
    return _adapted(task, task.settings.meso.stages)


def twin(task: Task) -> Forecaster:
    """The same, by regression for as many steps."""
    means, *others = task.settings.meso.stages
    steps = means.steps + sum(stage.steps for stage in others)
    return Twin(_adapted(task, (means.model_copy(update={"steps": steps}),)))


def _adapted(task: Task, stages: Sequence[Any]) -> MesoTokens:
    torch.manual_seed(task.cell.seed)
    model = MesoTokens.untrained(task.known(), task.chosen(), task.settings.meso)
    task.train(model, task.chosen(), stages, devices=task.settings.devices, replay=task.replayed())
    return model


def micro_tokens(task: Task) -> Forecaster:
    """Micro tokens as they are."""
    return task.known()


def scratch(task: Task) -> Forecaster:
    """Tokens that learn from the cell's simulations alone."""
    torch.manual_seed(task.cell.seed)
    chosen, settings = task.chosen(), task.settings.scratch
    model = MicroTokens.untrained(chosen, settings.tokens)
    task.train(model, chosen, settings.stages, devices=task.settings.devices)
    return model


def parc(task: Task) -> Parc:
    """PARC, trained on the cell's simulations alone."""
    return _parc(task, task.settings.parc)


def _parc(task: Task, settings: ParcConfig, kind: type[Parc] = Parc) -> Parc:
    torch.manual_seed(task.cell.seed)
    chosen = task.chosen()
    model = kind(settings, Normalizer.fit(chosen), chosen.grid)
    task.train(model, chosen, settings.stages)
    return model.eval()


def parc_half(task: Task) -> Forecaster:
    """The same with half the steps, to see whether it has converged."""
    settings = task.settings.parc
    stages = tuple(stage.model_copy(update={"steps": max(1, stage.steps // 2)}) for stage in settings.stages)
    return _parc(task, settings.model_copy(update={"stages": stages}))


def parc_literal(task: Task) -> Forecaster:
    """PARCv2 closer to its paper."""
    return _parc(task, task.settings.parc, LiteralParc)


def parc_ensemble(task: Task) -> Forecaster:
    """Mean of PARC trained with four seeds."""
    tasks = [task.of(Cell("parc", task.cell.n, seed)) for seed in range(4)]
    mean = MeanOf([parc(one) for one in tasks])
    task.note(sum(one.minutes for one in tasks))
    return mean


def parc_pretrained(task: Task) -> Forecaster:
    """PARC, trained on micro simulations first and then on the cell's."""
    settings = task.settings.parc
    torch.manual_seed(0)
    model = Parc(settings, Normalizer.fit(task.micro), task.micro.grid)
    task.before.train(model, task.micro, settings.stages)
    rate = task.settings.fine_tuning_rate
    gentle = [stage.model_copy(update={"learning_rate": rate * stage.learning_rate, "optimizer": "adamw"}) for stage in settings.stages[1:]]
    task.train(model, task.chosen(), gentle)
    return model.eval()


def mld(task: Task) -> Forecaster:
    """The predecessor's method: codec and dynamics of micro simulations, then the networks of all fields on the cell's."""
    settings = task.settings.mld
    rate = settings.learning_rate
    torch.manual_seed(0)
    model = Mld(Normalizer.fit(task.micro), task.micro.grid, width=settings.width)
    codec = stage_of(VariationalCodec(), "codec", steps=settings.codec, horizon=1, batch_size=16, learning_rate=rate)
    alone = evolution_stages("decoupled", settings.decoupled, learning_rate=rate)
    task.before.train(model, task.micro, [codec, *alone, *evolution_stages("coupled", settings.coupled, learning_rate=rate)])
    task.train(model, task.chosen(), evolution_stages("coupled", settings.meso, batch_size=2, learning_rate=rate / 3))
    return model.eval()


def persistence(task: Task) -> Forecaster:
    """The first frame."""
    return Persistence(task.meso.fields)


#: What trains a cell, by the name of its model.
MODELS: dict[str, Callable[[Task], Forecaster]] = {
    made.__name__: made
    for made in (tokens, twin, micro_tokens, scratch, parc, parc_half, parc_literal, parc_ensemble, parc_pretrained, mld, persistence)
}


def require_known(name: str) -> None:
    """Refuse the name of a model that there is not, before any work.

    Raises
    ------
    ValueError
        If it is none of ``MODELS``, no entry point, and no own class, ``module:Class``.
    """
    if name in MODELS:
        return
    if name == target_of(name) and ":" not in name:
        raise ValueError(f"cells: expected models of {list(MODELS)}, or an own one as module:Class, got {name!r:.80}")
    try:
        load_class(name)
    except ValueError as error:
        raise ValueError(str(error).replace("rollout.models", "cells", 1)) from None


def make(task: Task) -> Forecaster:
    """Train the forecaster of a cell; an own one is made from the training simulations."""
    model = task.cell.model
    return MODELS[model](task) if model in MODELS else make_forecaster(model, task.chosen())
