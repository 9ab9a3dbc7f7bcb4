"""The one training loop: stages in order, each resumable, for tokens and baselines alike."""

from __future__ import annotations

import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.nn.utils import get_total_norm

from probtokens.config import Stage
from probtokens.data.atomic import replacing
from probtokens.data.dataset import TrajectorySet
from probtokens.data.the_well.faults import shown
from probtokens.json_text import read_json
from probtokens.models.base import check_schedule
from probtokens.models.files import load_stage
from probtokens.models.tokens import TokenForecaster
from probtokens.precision import Precision, resolve
from probtokens.train.module import StageModule, as_precision, precision_begun
from probtokens.train.processes import Progress, accelerator, hardware, relayed, run
from probtokens.train.validation import Validation
from probtokens.train.windows import StageData

#: Steps between two checkpoints, and of one Lightning epoch.
CHUNK = 25

#: Called with (stage name, simulations done, simulations in all).
Encoding = Callable[[str, int, int], None]


class DivergedError(ValueError):
    """A loss, or weights, that are not finite: what came of a stage's settings.

    Attributes
    ----------
    checkpoint
        File of the last state with finite weights, ``None`` if there is none; the message names it while it is there.
    """

    def __init__(self, message: str, checkpoint: Path | None) -> None:
        super().__init__(message, checkpoint)
        self.message, self.checkpoint = message, checkpoint

    def __str__(self) -> str:
        if self.checkpoint is None or not self.checkpoint.is_file():
            return self.message
        return f"{self.message}; last good state: {shown(self.checkpoint)}"


@dataclass(frozen=True)
class Trained:
    """What is told of a finished stage.

    Attributes
    ----------
    precision
        That of its convolutions.
    losses
        Loss of every step, in order.
    validation
        Steps done, and the score of forecasts after them; see :func:`~probtokens.train.validation.forecast_score`.
    """

    precision: Precision
    losses: list[float]
    validation: list[tuple[int, float]]


def train_stages(
    model: nn.Module,
    trajectories: TrajectorySet,
    stages: Sequence[Stage],
    *,
    weight_decay: float,
    seed: int,
    out_dir: Path,
    reflect: bool = True,
    devices: int = 1,
    device: str = "auto",
    validation: TrajectorySet | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Progress | None = None,
    encoding: Encoding = lambda stage, done, total: None,
    replay: TrajectorySet | None = None,
) -> dict[str, Trained]:
    """Train ``model`` in place through all stages.

    ``out_dir`` keeps ``NN_STAGE.pt`` for every finished stage and ``NN_STAGE.ckpt`` for one under way.
    Called again with the same arguments after an interruption, it goes on from the last of them
    and ends with the same weights; a stage keeps the precision that it began with.

    Another number of devices changes draws, gradients by rounding, and what the windows of a batch are
    weighed by where objectives divide by a mean over them (scores, likelihoods of noise): each device knows its own.

    Parameters
    ----------
    model
        A :class:`~probtokens.models.base.Trainable`.
    trajectories
        Training simulations.
    stages
        Schedule. A horizon that simulations do not have is cut, with a warning.
    weight_decay
        Weight decay of AdamW, per step and learning rate.
    seed
        Seeds batches and all draws; stage ``n`` uses (seed, n).
    out_dir
        Folder of this training's checkpoints.
    reflect
        Whether to train on mirror images along y as well.
    devices
        With 1, ``device``. More are processes of the CPU that share every batch and compute on one thread each: small networks gain little
        from more threads.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, …, or ``"auto"``: whatever Lightning finds, a GPU first.
    validation
        Simulations that forecasts are scored on every hundred steps and after every stage.
    callbacks
        Further ones, of Lightning.
    progress
        Told about every chunk of steps.
    encoding
        Told about every simulation whose tokens are encoded for a stage.
    replay
        Other simulations, whose windows stages on tokens see too: as many tokens in a batch as of ``trajectories``. Cells and frame step
        may be other ones that the tokens can be put on.

    Returns
    -------
    dict
        Name of every stage to what is told of it.

    Raises
    ------
    ValueError
        If simulations have too few frames, a stage names fields or parameter groups that the model does not have, devices
        cannot share a batch evenly, or there is no such device.
    DivergedError
        If the loss or weights are not finite after a step.
    """
    n_times = n_frames(trajectories, replay)
    check_schedule(model, stages, n_times, devices)
    if too_long := [stage.name for stage in stages if stage.horizon >= n_times]:
        warnings.warn(
            f"simulations have {n_times} frames: stages {too_long} have a horizon of {n_times - 1} instead of theirs", stacklevel=2
        )
    stages = [stage.within(n_times) for stage in stages]
    kind = accelerator(devices, device)
    data = StageData(model, trajectories, out_dir, seed=seed, reflect=reflect)
    if isinstance(model, TokenForecaster):
        model.require_grid(trajectories.grid, "trajectories")
    known = model.on(replay.grid) if replay is not None and isinstance(model, TokenForecaster) else model
    replayed = None if replay is None else StageData(known, replay, out_dir, seed=seed, reflect=reflect)
    told: dict[str, Trained] = {}
    last: Path | None = None
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for number, stage in enumerate(stages):
            finished = stage_file(out_dir, number, stage)
            note = finished.with_suffix(".json")
            if finished.is_file():
                load_stage(finished, model)
                told[stage.name] = _noted(note)
                last = finished
                continue
            under_way = finished.with_suffix(".ckpt")
            precision = precision_begun(under_way) or resolve(stage.precision, kind)
            module = StageModule(
                model,
                data.windows(stage, partial(encoding, stage.name)),
                stage,
                weight_decay=weight_decay,
                seed=seed * 1000 + number,
                chunk=CHUNK,
                augmentations=data.augmentations(stage),
                precision=precision,
                replay=replayed.replay(stage, data, partial(encoding, stage.name)) if replayed is not None and stage.on_tokens else None,
            )
            watching = [] if validation is None else [Validation(validation, stage.horizon, every=4 * CHUNK)]
            try:
                _run_stage(module, under_way, hardware(devices, out_dir, device), [*watching, *callbacks], progress)
            except FloatingPointError as error:
                raise DivergedError(str(error), under_way if under_way.is_file() else last) from error
            told[stage.name] = _told(under_way, precision)
            with replacing(note) as temporary:
                temporary.write_text(json.dumps(asdict(told[stage.name])), encoding="ascii")
            with replacing(finished) as temporary:
                torch.save(model.state_dict(), temporary)
            under_way.unlink(missing_ok=True)
            last = finished
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
    return told


def n_frames(trajectories: TrajectorySet, replay: TrajectorySet | None = None) -> int:
    """Frames that the windows of a training can have: those of its shorter simulations."""
    return min(simulations.grid.n_times for simulations in (trajectories, replay or trajectories))


def finished_stages(out_dir: Path, stages: Sequence[Stage]) -> dict[str, Trained]:
    """What was told of the stages of a schedule that are finished, by name.

    Raises
    ------
    ValueError
        If a file that tells it is damaged.
    """
    notes = {stage.name: stage_file(out_dir, number, stage).with_suffix(".json") for number, stage in enumerate(stages)}
    return {name: _noted(note) for name, note in notes.items() if note.is_file()}


def stage_file(out_dir: Path, number: int, stage: Stage) -> Path:
    """Weights of the model after stage ``number`` of a schedule, from 0, in the folder of a training."""
    return out_dir / f"{number:02d}_{stage.name}.pt"


def _run_stage(
    module: StageModule, checkpoint: Path, hardware: dict[str, Any], callbacks: Sequence[Callback], progress: Progress | None
) -> None:
    module.model.train()
    with _quiet_lightning(), relayed(progress, hardware["devices"]) as report:
        trainer = lightning.Trainer(
            max_steps=module.stage.steps,
            **hardware,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            reload_dataloaders_every_n_epochs=1,
            gradient_clip_val=1.0,
            use_distributed_sampler=False,
            precision="bf16-mixed" if module.precision == "bfloat16" else "32-true",
            callbacks=[*callbacks, _ChunkEnd(checkpoint, report)],
        )
        run(trainer, module, ckpt_path=checkpoint if checkpoint.is_file() else None, weights_only=True)
    module.model.eval()


def _noted(note: Path) -> Trained:
    """What was told of a stage that an earlier call has finished."""
    try:
        content = read_json(note, what := "what was told of a finished stage")
        validation = [(step, score) for step, score in content["validation"]]
        return Trained(as_precision(note, content["precision"]), content["losses"], validation)
    except (KeyError, TypeError):
        raise ValueError(f"{note}: expected {what}, got a damaged file") from None


def _told(checkpoint: Path, precision: Precision) -> Trained:
    """What the callbacks of a stage have kept in its last checkpoint: their process may have been another one."""
    states = torch.load(checkpoint, weights_only=True, map_location="cpu")["callbacks"]
    return Trained(precision, states[_ChunkEnd.__qualname__]["losses"], states.get(Validation.__qualname__, {"scores": []})["scores"])


class _ChunkEnd(Callback):
    """After every chunk: a checkpoint and a progress report; keeps the loss of every step, and stops where it or weights are not finite."""

    def __init__(self, checkpoint: Path, progress: Progress | None) -> None:
        self.checkpoint = checkpoint
        self.progress = progress
        self.losses: list[float] = []

    def state_dict(self) -> dict[str, Any]:
        return {"losses": list(self.losses)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.losses = list(state_dict["losses"])

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["loss"]))
        for what, found in (("loss", self.losses[-1]), ("norm of weights", float(get_total_norm(pl_module.learning)))):
            if not math.isfinite(found):
                raise pl_module.diverged(trainer.global_step, f"a finite {what}", found)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        stage, step = pl_module.stage, trainer.global_step
        with replacing(self.checkpoint) if trainer.is_global_zero else nullcontext(self.checkpoint) as path:
            trainer.save_checkpoint(path)  # which every process has to call, and the first one writes
        if self.progress is not None and trainer.is_global_zero:
            self.progress(stage.name, step, stage.steps, self.losses[-1])


class _quiet_lightning(warnings.catch_warnings):
    """No banners, tips or worker-count advice from Lightning while a stage runs, and no settings of its own from the environment."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        self._levels = {name: logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")}
        for name in self._levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        self._asked = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PL_")}

    def __exit__(self, *exc_info: Any) -> None:
        os.environ.update(self._asked)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        super().__exit__(*exc_info)
