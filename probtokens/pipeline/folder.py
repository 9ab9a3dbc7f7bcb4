"""Where everything of one run lies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from probtokens.paths import inside

Scale = Literal["micro", "meso"]
Split = Literal["train", "valid", "test"]

SCALES: tuple[Scale, ...] = get_args(Scale)
SPLITS: tuple[Split, ...] = get_args(Split)
#: Splits that are forecast: validation for the recalibration, test for the scores.
FORECAST_SPLITS: tuple[Split, ...] = ("valid", "test")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run, relative to its root.

    Attributes
    ----------
    root
        The run folder.
    anew
        Results that are made again beside the old ones, which stay until the new ones are whole.
    """

    root: Path
    anew: frozenset[Path] = frozenset()

    def inside(self, *parts: str) -> Path:
        """Path below the root; what is made anew has a hidden name beside the old one.

        Raises
        ------
        ValueError
            If the path would lead outside.
        """
        path = inside(self.root, *parts)
        for old in self.anew.intersection((path, *path.parents)):
            return new_of(old) / path.relative_to(old)
        return path

    def making(self, outputs: Iterable[Path]) -> RunFolder:
        """The same folder for a stage that makes these outputs anew."""
        return replace(self, anew=frozenset(outputs))

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.inside("config.yaml")

    @property
    def log(self) -> Path:
        """What was done and when, one line each."""
        return self.inside("log")

    @property
    def lock(self) -> Path:
        """Held by the process that works on the run."""
        return self.inside(".lock")

    @property
    def scores(self) -> Path:
        """Scores of all models."""
        return self.inside("scores.json")

    @property
    def report(self) -> Path:
        """The report, one self-contained file."""
        return self.inside("report.html")

    @property
    def stages(self) -> Path:
        """Records of the stages."""
        return self.inside("stages")

    def record(self, stage: str) -> Path:
        """Record of a stage: what it was made from and whether it is finished."""
        return self.inside("stages", f"{stage}.json")

    def data(self, campaign: str) -> Path:
        """Simulations of one of the run's own campaigns, with a sub-folder per split."""
        return self.inside("data", campaign)

    def checked(self, scale: Scale) -> Path:
        """Digests of the given simulations of one scale, by split and name, as they were when they were checked."""
        return self.inside("checks", f"{scale}.json")

    @property
    def preview(self) -> Path:
        """Pictures of what a simulation would start from; belongs to no stage."""
        return self.inside("preview")

    @property
    def jobs(self) -> Path:
        """Logs of the jobs that ran on a cluster."""
        return self.inside("jobs")

    @property
    def coverage(self) -> Path:
        """How far micro data cover the states of meso data; belongs to no stage."""
        return self.inside("coverage")

    @property
    def closure(self) -> Path:
        """Closures of the test forecasts, one folder for each model; belongs to no stage."""
        return self.inside("closure")

    def training(self, model: str) -> Path:
        """State of a training, from which it resumes, and its final model."""
        return self.inside("checkpoints", model)

    def model(self, model: str) -> Path:
        """A trained model."""
        return self.inside("checkpoints", model, "model.pt")

    def rollout(self, model: str, split: Split) -> Path:
        """Forecasts of one model on one split."""
        return self.inside("rollouts", f"{model}_{split}.zarr")

    def recalibration(self, model: str) -> Path:
        """Spread inflation of one model, fitted on validation simulations."""
        return self.inside("recalibration", f"{model}.json")

    def arviz(self, model: str) -> Path:
        """Test forecasts of one model for ArviZ; belongs to no stage."""
        return self.inside("arviz", f"{model}.nc")


def new_of(path: Path) -> Path:
    """Where a result is made while an older one is in its place: beside it, on the same disk, under a hidden name."""
    return path.with_name(f".{path.name}.new")


def old_of(path: Path) -> Path:
    """Where an older result is for the moment in which a new one takes its place."""
    return path.with_name(f".{path.name}.old")
