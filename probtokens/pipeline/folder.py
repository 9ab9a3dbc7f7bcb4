"""Where everything of one run lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Scale = Literal["micro", "meso"]
Split = Literal["train", "valid", "test"]

SCALES: tuple[Scale, ...] = get_args(Scale)
SPLITS: tuple[Split, ...] = get_args(Split)
#: Splits that are forecast: validation for the recalibration, test for the scores.
FORECAST_SPLITS: tuple[Split, ...] = ("valid", "test")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run, relative to its root."""

    root: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.root / "config.yaml"

    @property
    def log(self) -> Path:
        """What was done and when, one line each."""
        return self.root / "log"

    @property
    def lock(self) -> Path:
        """Held by the process that works on the run."""
        return self.root / ".lock"

    @property
    def scores(self) -> Path:
        """Scores of all models."""
        return self.root / "scores.json"

    @property
    def report(self) -> Path:
        """The report, one self-contained file."""
        return self.root / "report.html"

    @property
    def stages(self) -> Path:
        """Records of the stages."""
        return self.root / "stages"

    def record(self, stage: str) -> Path:
        """Record of a stage: what it was made from and whether it is finished."""
        return self.stages / f"{stage}.json"

    def data(self, campaign: str) -> Path:
        """Simulations of one of the run's own campaigns, with a sub-folder per split."""
        return self.root / "data" / campaign

    @property
    def preview(self) -> Path:
        """Pictures of what a simulation would start from; belongs to no stage."""
        return self.root / "preview"

    @property
    def jobs(self) -> Path:
        """Logs of the jobs that ran on a cluster."""
        return self.root / "jobs"

    @property
    def coverage(self) -> Path:
        """How far micro data cover the states of meso data; belongs to no stage."""
        return self.root / "coverage"

    def training(self, model: str) -> Path:
        """State of a training, from which it resumes, and its final model."""
        return self.root / "checkpoints" / model

    def model(self, model: str) -> Path:
        """A trained model."""
        return self.training(model) / "model.pt"

    def rollout(self, model: str, split: Split) -> Path:
        """Forecasts of one model on one split."""
        return self.root / "rollouts" / f"{model}_{split}.zarr"

    def recalibration(self, model: str) -> Path:
        """Spread inflation of one model, fitted on validation simulations."""
        return self.root / "recalibration" / f"{model}.json"
