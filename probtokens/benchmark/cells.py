"""Cells of a benchmark: a model, a number of meso simulations and a seed, trained and scored once each."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

import probtokens
from probtokens.config.benchmark import BenchmarkConfig
from probtokens.data import TrajectorySet, split_folder, subset_order
from probtokens.data.atomic import replacing
from probtokens.evaluate.leads import CELLS, Adjustment, recalibrated, score_adjusted, score_by_simulation, with_errors
from probtokens.fields import HotSpot, field_index
from probtokens.json_text import first_difference, read_json
from probtokens.models.base import Forecaster
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.record import hardware, versions
from probtokens.train import train_stages
from probtokens.train.folders import require_same_training
from probtokens.weights import resolved

#: Name of the file in a cell's folder that says how long it has been trained.
_MINUTES = "minutes.json"
#: Significant digits of stored scores.
_DIGITS = 5


class Told(Protocol):
    """What is told of the work on a cell."""

    def __call__(self, done: int, total: int, text: str = "") -> None:
        """Steps done, steps in all, and what is being done."""
        ...


class Cell(NamedTuple):
    """What is trained on how many meso simulations, and the seed of their choice and of all draws."""

    model: str
    n: int
    seed: int

    @classmethod
    def of(cls, text: str) -> Cell:
        """Cell of a name such as ``tokens-4-0``.

        Raises
        ------
        ValueError
            If it is none.
        """
        model, *numbers = text.rsplit("-", 2)
        if len(numbers) < 2 or not all(number.isdecimal() for number in numbers):
            raise ValueError(f"cell: expected MODEL-N-SEED such as tokens-4-0, got {text!r:.80}")
        return cls(model, *map(int, numbers))

    def __str__(self) -> str:
        return f"{self.model}-{self.n}-{self.seed}"


class Task(NamedTuple):
    """A cell with the settings of its benchmark, its data and the folder of its training."""

    cell: Cell
    settings: BenchmarkConfig
    micro: TrajectorySet
    meso: TrajectorySet
    folder: Path
    told: Told = lambda done, total, text="": None

    @property
    def minutes(self) -> float:
        """How long the cell has been trained, in all sittings."""
        note = self.folder / _MINUTES
        return float(read_json(note, "minutes of a training")) if note.exists() else 0.0

    def note(self, minutes: float) -> None:
        """Say how long the cell has been trained."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / _MINUTES) as temporary:
            temporary.write_text(json.dumps(minutes), encoding="ascii")

    @property
    def before(self) -> Task:
        """Training on micro simulations, which all cells of a model share."""
        return self._replace(cell=Cell(self.cell.model, 0, 0), folder=self.folder.parent / f"{self.cell.model}-micro")

    def of(self, cell: Cell) -> Task:
        """The same of another cell."""
        return self._replace(cell=cell, folder=self.folder.parent / str(cell))

    @property
    def learning(self) -> dict[str, Any]:
        """Settings that the training depends on, and what is in the file of the tokens that it begins from."""
        found = self.settings.learning(self.cell.model)
        return found | ({"tokens": file_digest(resolved(self.settings.tokens))} if "tokens" in found else {})

    def known(self) -> MicroTokens:
        """The micro tokens that models begin from."""
        return MicroTokens.load(resolved(self.settings.tokens))

    def chosen(self) -> TrajectorySet:
        """The cell's training simulations."""
        return self.meso.subset(subset_order(len(self.meso), self.cell.seed)[: self.cell.n])

    def replayed(self) -> TrajectorySet:
        """Micro simulations that are seen beside them: the first ones, the same for every seed and however large the set is."""
        return self.micro.subset(range(min(self.settings.meso.replay, len(self.micro))))

    def train(self, model: torch.nn.Module, trajectories: TrajectorySet, stages: Sequence[Any], **options: Any) -> None:
        """Train in the cell's folder, with progress; goes on where it was stopped.

        Raises
        ------
        ValueError
            If the folder is of a training with other settings, tokens or simulations.
        """
        shown = {"simulations": trajectories, "replay": options.get("replay")}
        require_same_training(
            self.folder, self.learning | {name: None if some is None else _identity(some) for name, some in shown.items()}
        )
        began, before = time.monotonic(), self.minutes

        def progress(stage: str, step: int, steps: int, loss: float) -> None:
            self.note(before + (time.monotonic() - began) / 60)
            self.told(step, steps, f"{self.folder.name}, {stage}, loss {loss:.4g}")

        train_stages(model, trajectories, stages, weight_decay=0.0, seed=self.cell.seed, out_dir=self.folder, progress=progress, **options)


def compute(
    settings: BenchmarkConfig, names: Sequence[str], out: Path, told: Callable[[str], Any], *, make: Callable[[Task], Forecaster]
) -> list[Path]:
    """Train and score the cells that are not there yet.

    Parameters
    ----------
    settings
        Recipe of the benchmark.
    names
        Cells, such as ``tokens-4-0``.
    out
        Folder of results: ``SPLIT/CELL.json`` of every cell, and checkpoints in ``training``.
    told
        Called with the name of every cell that is computed; gives a context whose value is told of its progress.
    make
        Trains and gives the forecaster of a cell.

    Returns
    -------
    list of Path
        Files of all cells asked for.

    Raises
    ------
    ValueError
        If a name is none, data or tokens do not fit, or a cell that is there answers other questions.
    """
    cells = [Cell.of(name) for name in names]
    known = MicroTokens.load(resolved(settings.tokens))
    fields, context = tuple(spec.name for spec in known.fields), known.normalizer.context_names

    def opened(scale: str, part: str) -> TrajectorySet:
        return TrajectorySet.open(split_folder(settings.data / scale, part), fields, context)

    scored = ("meso", settings.split) if settings.split in ("valid", "test") else (settings.split, "test")
    tested, training = opened(*scored), opened("meso", "train")
    tested = tested.subset(range(settings.simulations or len(tested)))
    if most := [cell for cell in cells if cell.n > len(training)]:
        raise ValueError(f"{most[0]}: expected at most the {len(training)} training simulations of {settings.data / 'meso'}")
    valid, micro = opened("meso", "valid"), opened("micro", "train")
    data = {"train": _identity(training), "valid": _identity(valid), settings.split: _identity(tested)}
    paths = [out / settings.split / f"{str(cell).replace(':', '.')}.json" for cell in cells]
    tasks = [Task(cell, settings, micro, training, out / "training" / path.stem) for cell, path in zip(cells, paths, strict=True)]
    asked = [_asked(task, tested) | {"data": data} for task in tasks]
    for path, questions in zip(paths, asked, strict=True):
        if path.exists():
            _require_same(path, questions)
    for task, path, questions in zip(tasks, paths, asked, strict=True):
        if path.exists():
            continue
        with told(str(task.cell)) as progress:
            watched = task._replace(told=progress)
            document = questions | _score(watched, make(watched), tested, valid, progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(document) + "\n", encoding="ascii")
    return paths


def _asked(task: Task, tested: TrajectorySet) -> dict[str, Any]:
    """What a cell answers: all that its scores depend on but the data."""
    settings = task.settings
    return {
        "cell": task.cell._asdict(),
        "split": settings.split,
        "simulations": list(tested.names),
        "leads": list(settings.leads),
        "draws": settings.draws,
        "field": settings.hotspot_field,
        "threshold": settings.hotspot_threshold,
        "error_quantiles": settings.error_quantiles,
        "settings": task.learning,
    }


def _score(task: Task, model: Forecaster, tested: TrajectorySet, valid: TrajectorySet, told: Told) -> dict[str, Any]:
    settings = task.settings
    hotspot = HotSpot(settings.hotspot_field, settings.hotspot_threshold)
    request: dict[str, Any] = {"leads": settings.leads, "field": hotspot.field, "hotspot": hotspot}
    drawn: dict[str, Any] = {"members": settings.draws, "seed": task.cell.seed}

    def progress(done: int, total: int) -> None:
        told(done, total, "simulations scored")

    adjusted, adjustment = _adjustment(model, valid, settings, request, drawn)
    plain, other = score_adjusted(model, tested, adjustment=adjustment, **request, **drawn, progress=progress)
    scores = {"scores": plain} | ({adjusted: other} if adjustment is not None else {})
    return {
        "trained_on": list(task.chosen().names),
        "training_minutes": round(task.minutes, 2),
        "shared_minutes": round(task.before.minutes, 2),
        "units": _units(tested, hotspot),
        "version": probtokens.__version__,
        "versions": versions(),
        "hardware": hardware(),
    } | {
        kind: {name: {key: _rounded(values) for key, values in table.items()} for name, table in found.items()}
        for kind, found in scores.items()
    }


def _adjustment(
    model: Forecaster, valid: TrajectorySet, settings: BenchmarkConfig, request: dict[str, Any], drawn: dict[str, Any]
) -> tuple[str, Adjustment | None]:
    """What validation simulations make of a model's members, and what scores of it are called; none for scores of themselves."""
    if settings.split == "valid":
        return "", None
    if getattr(model, "deterministic", False):
        return "with_errors", with_errors(model, valid, **request, members=settings.error_quantiles)
    return "recalibrated", recalibrated(score_by_simulation(model, valid, **request, **drawn))


def _units(tested: TrajectorySet, hotspot: HotSpot) -> dict[str, str]:
    """Units of all that is scored, by name."""
    unit = tested.fields[field_index(tested.fields, hotspot.field)].unit
    area, mean = hotspot.curves
    return {CELLS: unit, area: tested.grid.units.area, mean: unit}


def _require_same(path: Path, asked: dict[str, Any]) -> None:
    """See that a cell that is there answers what is asked."""
    if other := first_difference(asked, read_json(path, "a cell of a benchmark")):
        raise ValueError(
            f"{path}: {other.where}: expected {other.expected!s:.80}, found {other.found!s:.80}; "
            "name another folder with --out, or remove it"
        )


def _identity(trajectories: TrajectorySet) -> str:
    """Hash of the names and context scalars of simulations, by which sets of other seeds are told apart."""
    told = json.dumps([list(trajectories.names), trajectories.context.tolist()])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[float(f"{value:.{_DIGITS}g}") for value in row] for row in values.tolist()]
