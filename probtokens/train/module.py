"""The Lightning module that trains any :class:`~probtokens.models.base.Trainable` for one stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from probtokens.config import Stage
from probtokens.data.dataset import Batch, StepSampler, WindowDataset
from probtokens.models.base import learn
from probtokens.models.files import read_weights
from probtokens.precision import Precision
from probtokens.train.objectives import Parts, objective_of
from probtokens.train.optimizers import make_optimizer
from probtokens.train.schedules import warmup_cosine
from probtokens.train.stages import OwnStage
from probtokens.train.windows import Replay

_PRECISION = "probtokens_precision"

#: Added to the seed of a stage's batches for those of its replay.
_REPLAYED = 500


def precision_begun(checkpoint: Path) -> Precision | None:
    """Precision of the stage under way that left this checkpoint, ``None`` if there is none."""
    if not checkpoint.is_file():
        return None
    content = read_weights(checkpoint, "the state of a training")
    return as_precision(checkpoint, content.get(_PRECISION) if isinstance(content, dict) else None)


def as_precision(path: Path, found: object) -> Precision:
    """Precision that a training noted in a file.

    Raises
    ------
    ValueError
        If it is none.
    """
    if found not in get_args(Precision):
        raise ValueError(f"{path}: expected a precision, {' or '.join(get_args(Precision))}, got {found!r:.40}")
    return cast(Precision, found)


class StageModule(lightning.LightningModule):
    """One stage of training.

    Everything random is a function of (seed, step): the windows of a batch, how they are augmented and all
    draws inside the loss. So a stage that resumes at any step goes on exactly as if it had never stopped. Several processes share
    the windows of a batch, and each has draws of its own.
    """

    model: Any  # an nn.Module that is Trainable; torch's types cannot say both

    def __init__(
        self,
        model: nn.Module,
        windows: WindowDataset,
        stage: Stage,
        *,
        weight_decay: float,
        seed: int,
        chunk: int,
        augmentations: Sequence[nn.Module] = (),
        precision: Precision = "float32",
        replay: Replay | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.windows = windows
        self.stage = stage
        self.objective = stage.own if isinstance(stage, OwnStage) else objective_of(stage)
        self.learning = learn(model, stage.learn)
        self.weight_decay = weight_decay
        self.seed = seed
        self.chunk = chunk
        self.augmentations = augmentations
        self.precision = precision
        self.replay = replay

    def on_fit_start(self) -> None:
        """Augmentations go where the model is, though they are no part of it and its checkpoints."""
        for augment in self.augmentations:
            augment.to(self.device)

    def train_dataloader(self) -> list[DataLoader]:
        """Batches of the current chunk of steps (one Lightning epoch); those of the replay behind them."""
        loaders = [self._batches(self.windows, self.stage.batch_size, self.seed)]
        if self.replay is not None:
            loaders.append(self._batches(self.replay.windows, self.replay.batch_size, self.seed + _REPLAYED))
        return loaders

    def _batches(self, windows: WindowDataset, size: int, seed: int) -> DataLoader:
        start = self.global_step
        stop = min(start + self.chunk, self.stage.steps)
        share = (self.global_rank, self.trainer.world_size)
        sampler = StepSampler(len(windows), size, stop, seed, start_step=start, share=share)
        return DataLoader(windows, batch_sampler=sampler, collate_fn=windows.collate)

    def training_step(self, batches: list[Batch], batch_idx: int) -> Tensor:
        """Loss of one batch, and of the replayed one; parts of the first are logged."""
        seed = int(np.random.SeedSequence([self.seed, self.global_rank, self.global_step]).generate_state(1)[0])
        torch.manual_seed(seed)
        models = [self.model] if self.replay is None else [self.model, self.replay.model]
        try:
            parts, *replayed = map(self._parts, batches, models)
        except torch.linalg.LinAlgError:
            raise self.diverged(self.global_step + 1, "a covariance", "one that is not positive definite") from None
        if replayed:
            parts |= {"replayed": replayed[0]["data"], "loss": parts["loss"] + replayed[0]["data"]}
        shared = self.trainer.world_size > 1
        told = {name: value.detach() for name, value in parts.items()}
        self.log_dict(told, prog_bar=False, batch_size=len(batches[0]), sync_dist=shared)
        return parts["loss"]

    def diverged(self, step: int, expected: str, got: object) -> FloatingPointError:
        """Build the error that numbers have left what can be computed with in a step, counted from 1; the caller raises it."""
        advice = f"try a learning_rate below {self.stage.learning_rate:g}"
        return FloatingPointError(
            f"stage {self.stage.name!r:.40}, step {step} of {self.stage.steps}: expected {expected}, got {got}; {advice}"
        )

    def _parts(self, batch: Batch, model: Any) -> Parts:
        for augment in self.augmentations:
            batch = augment(batch)
        window = self.objective.windows(batch.frames, batch.context, self.global_step / self.stage.steps)
        return self.objective.parts(model, *window)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A stage goes on in the precision that it began with, also on another machine."""
        checkpoint[_PRECISION] = self.precision

    def configure_optimizers(self) -> Any:
        """The stage's optimizer with a warm-up and a cosine."""
        hidden = self.model.hidden_kernels()
        optimizer = make_optimizer(self.stage.optimizer, self.learning, hidden, self.stage.learning_rate, self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, self.stage.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
