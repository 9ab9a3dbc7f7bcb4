"""Training from Python: objectives and trajectories in, a history out, by the loop that recipes use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import Callback
from torch import nn

from probtokens.config import Stage
from probtokens.console import Console
from probtokens.data.trajectories import TrajectorySet, require_trajectories
from probtokens.models.base import require_units
from probtokens.train.folders import require_same_training
from probtokens.train.loop import Trained, train_stages
from probtokens.train.objectives import Objective
from probtokens.train.stages import kind_of, numbered, over_all_stages, stage_of


@dataclass(frozen=True)
class History:
    """What a training went through.

    Attributes
    ----------
    stages
        Name of every stage, that of its objective unless it is one of a recipe, to what is told of it.
    """

    stages: dict[str, Trained]

    @property
    def losses(self) -> np.ndarray:
        """Loss of every step of all stages in order, shape (step,)."""
        return np.concatenate([stage.losses for stage in self.stages.values()])

    @property
    def validation(self) -> dict[int, float]:
        """Steps done, over all stages, to the score of forecasts after them: fair CRPS in standard units, less is better."""
        before = 0
        found: dict[int, float] = {}
        for stage in self.stages.values():
            found |= {before + step: score for step, score in stage.validation}
            before += len(stage.losses)
        return found


def fit(
    model: nn.Module,
    trajectories: TrajectorySet,
    objectives: Objective | Stage | Sequence[Objective | Stage],
    steps: int | None = None,
    *,
    horizon: int = 4,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    validation: TrajectorySet | None = None,
    replay: TrajectorySet | None = None,
    seed: int = 0,
    device: str = "auto",
    reflect: bool = True,
    callbacks: Sequence[Callback] = (),
    resume: str | Path | None = None,
    progress: bool = True,
) -> History:
    """Train a model in place, by one objective after the other.

    Parameters
    ----------
    model
        A :class:`~probtokens.models.base.Trainable`: micro tokens, meso tokens, PARC, or an own one.
    trajectories
        Training simulations, with the model's fields in its order.
    objectives
        One or more of :mod:`probtokens.train.objectives`, or own ones. Stages of a recipe, such as ``MicroConfig().stages``, bring
        their own steps, horizons, batches and learning rates.
    steps
        Optimizer steps by each objective.
    horizon
        Steps after the first frame of a window, at most those that simulations have. ``Reconstruction`` sees single frames.
    batch_size
        Windows of a step.
    learning_rate
        Highest rate of AdamW, which warms up and then falls like a cosine.
    validation
        Simulations that forecasts are scored on every hundred steps.
    replay
        Simulations that stages on tokens see beside ``trajectories``, such as micro ones, so that what is known of them stays known.
    seed
        What batches and all draws follow from.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, …, or ``"auto"``: a GPU if there is one. Afterwards the model is on the CPU.
    reflect
        Whether mirror images along y are trained on as well; no, where the physics knows up from down.
    callbacks
        Callbacks of Lightning.
    resume
        Folder that keeps what is done. Called again with the same arguments, an interrupted training goes on from there.
    progress
        Whether to show on standard error how far it is.

    Returns
    -------
    History
        Losses by step, and scores of validation forecasts.

    Raises
    ------
    ValueError
        If an argument is of another kind, an objective has no steps, a number, a field or a group of parameters does not fit, there is no
        such device, or the folder is that of another training.
    DivergedError
        If the loss or weights are not finite after a step.

    Examples
    --------
    >>> from probtokens import Elbo, Trajectories
    >>> from probtokens.verify.token_pairs import FIELDS, micro_tokens, window
    >>> frames, context = window()
    >>> data = Trajectories.from_arrays(frames, FIELDS, spacing=0.04, time_step=0.125, context={"shock_pressure": context[:, 0]})
    >>> fit(micro_tokens(), data, Elbo(), steps=2, horizon=2, batch_size=2).losses.shape
    (2,)
    """
    given: list[Any] = list(objectives) if isinstance(objectives, list | tuple) else [objectives]
    _require_known(model, given, trajectories=trajectories, validation=validation, replay=replay)
    if not given or (steps is None and not all(isinstance(one, Stage) for one in given)):
        raise ValueError(f"steps: expected a number, and at least one objective, got {steps} and {[type(one).__name__ for one in given]}")
    names = numbered([one.name if isinstance(one, Stage) else kind_of(one) for one in given])
    stages = [
        one.model_copy(update={"name": name})
        if isinstance(one, Stage)
        else stage_of(one, name, steps=steps or 0, horizon=horizon, batch_size=batch_size, learning_rate=learning_rate)
        for one, name in zip(given, names, strict=True)
    ]
    with nullcontext(resume) if resume is not None else TemporaryDirectory() as folder:
        require_same_training(
            Path(folder),
            _settings(model, trajectories, stages, seed=seed, reflect=reflect, replay=[] if replay is None else list(replay.names)),
        )
        with _shown(stages, progress) as show:
            told = train_stages(
                model,
                trajectories,
                stages,
                weight_decay=0.0,
                seed=seed,
                out_dir=Path(folder),
                reflect=reflect,
                device=device,
                validation=validation,
                callbacks=callbacks,
                progress=show,
                replay=replay,
            )
    return History(told)


@contextmanager
def _shown(stages: Sequence[Stage], progress: bool) -> Iterator[Callable[[str, int, int, float], None] | None]:
    if not progress:
        yield None
        return
    with Console().stage("fit") as tell:
        yield over_all_stages(stages, tell)


def _require_known(model: Any, objectives: Sequence[Any], **sets: Any) -> None:
    """Refuse arguments that are something else, of which errors from within would not tell."""
    if not isinstance(model, nn.Module) or not hasattr(model, "parameter_groups"):
        raise ValueError(f"model: expected MicroTokens, MesoTokens, Parc or an own Trainable, got {type(model).__name__}")
    if wrong := [one for one in objectives if not isinstance(one, Objective | Stage)]:
        raise ValueError(f"objectives: expected objectives such as RolloutScore(), or stages of a recipe, got {wrong[0]!r:.80}")
    for name, given in sets.items():
        if name == "trajectories" or given is not None:
            require_trajectories(given, name)
            require_units(
                name, {spec.name: spec.unit for spec in getattr(model, "fields", ())}, {spec.name: spec.unit for spec in given.fields}
            )


def _settings(model: nn.Module, trajectories: TrajectorySet, stages: Sequence[Stage], **others: Any) -> dict[str, Any]:
    """What the end of a training depends on, as far as it can be told quickly."""
    return {
        "model": {name: list(value.shape) for name, value in model.state_dict().items()},
        "simulations": list(trajectories.names),
        "fields": [spec.name for spec in trajectories.fields],
        "context": trajectories.context.tolist(),
        "grid": asdict(trajectories.grid),
        "stages": [stage.model_dump(mode="json") for stage in stages],
        **others,
    }
