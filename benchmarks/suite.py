"""Learning curves at the meso scale: every model, number of meso simulations and seed is a cell with a small result file of its own.

    python -m benchmarks.suite run runs/standard/data tokens-4-0 parc-16-0 --split valid
    python -m benchmarks.suite page --split test

A cell is MODEL-N-SEED: the seed chooses the N training simulations, nested for one seed, and everything random. Training goes on where it
was stopped; a cell whose file is there is not computed again. Anyone adds a model to ``MODELS`` and a data set by its folder, with
``meso/`` and ``micro/`` in the layout of campaigns.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import probtokens
from benchmarks.parc_literal import LiteralParc
from benchmarks.recipes import DEVICES, HOT, LEADS, PARC, PARC_HALF, RECIPE, short_recipe
from benchmarks.suite_page import read_cells, summary, write_page
from probtokens.baselines import Mld, Parc, Persistence
from probtokens.baselines.mld import VariationalCodec, evolution_stages
from probtokens.config import MicroConfig, ParcConfig
from probtokens.data import Normalizer, TrajectorySet, split_folder, subset_order
from probtokens.data.atomic import replacing
from probtokens.evaluate.leads import error_quantiles, score_by_simulation
from probtokens.fields import FieldSpec, Grid
from probtokens.models.base import Forecaster
from probtokens.models.foreign import make_forecaster
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import NO_SOURCES
from probtokens.models.tokens import TokenForecaster
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.record import hardware, versions
from probtokens.train import train_stages
from probtokens.train.stages import stage_of
from probtokens.weights import resolved

OUT = Path(__file__).parent / "results" / "suite"

#: Steps of the stages of MLD; those of its dynamics are for every horizon.
MLD = {"codec": 3000, "decoupled": 600, "coupled": 600, "meso": 300}

#: The recipe of micro tokens for many pores: their frames have four times the cells, so that batches and steps are a quarter.
SCRATCH = MicroConfig.model_validate(short_recipe(0.25)["micro"])
SCRATCH = SCRATCH.model_copy(
    update={"stages": tuple(stage.model_copy(update={"batch_size": max(2, stage.batch_size // 4)}) for stage in SCRATCH.stages)}
)

#: Members of the distribution of errors that a deterministic model has from validation simulations.
QUANTILES = 64

#: Name of the file in a cell's folder that says how long it has been trained.
_MINUTES = "minutes.json"

#: Significant digits of stored scores.
DIGITS = 5


class Cell(NamedTuple):
    """What is trained on how many meso simulations, and the seed of their choice and of all draws."""

    model: str
    n: int
    seed: int

    @classmethod
    def of(cls, text: str) -> Cell:
        """Cell of a name such as ``tokens-4-0``."""
        model, n, seed = text.rsplit("-", 2)
        if model not in MODELS and ":" not in model:
            raise ValueError(f"{text}: expected one of the models {list(MODELS)}, got {model!r}; own ones are module:Class")
        return cls(model, int(n), int(seed))

    def __str__(self) -> str:
        return f"{self.model}-{self.n}-{self.seed}"


class Task(NamedTuple):
    """A cell with its data and the folder of its training."""

    cell: Cell
    micro: TrajectorySet
    meso: TrajectorySet
    folder: Path

    @property
    def minutes(self) -> float:
        """How long the cell has been trained, in all sittings."""
        note = self.folder / _MINUTES
        return float(json.loads(note.read_text(encoding="ascii"))) if note.exists() else 0.0

    def chosen(self) -> TrajectorySet:
        """The cell's training simulations."""
        return self.meso.subset(subset_order(len(self.meso), self.cell.seed)[: self.cell.n])

    @property
    def before(self) -> Task:
        """Training on micro simulations, which all cells of a model share."""
        cell = Cell(self.cell.model, 0, 0)
        return self._replace(cell=cell, folder=self.folder.parent / f"{self.cell.model}-micro")

    def of(self, cell: Cell) -> Task:
        """That of another cell."""
        return self._replace(cell=cell, folder=self.folder.parent / str(cell))

    def train(self, model: torch.nn.Module, trajectories: TrajectorySet, stages: Sequence[Any], **options: Any) -> None:
        """Train in the cell's folder, with progress."""
        began, folder = time.monotonic(), self.folder
        folder.mkdir(parents=True, exist_ok=True)
        before = self.minutes

        def progress(stage: str, step: int, steps: int, loss: float) -> None:
            spent = before + (time.monotonic() - began) / 60
            with replacing(self.folder / _MINUTES) as temporary:
                temporary.write_text(json.dumps(spent), encoding="ascii")
            print(f"{self.cell}: {stage} {step}/{steps}, loss {loss:.4g}, {spent:.1f} min", flush=True)

        train_stages(model, trajectories, stages, weight_decay=0.0, seed=self.cell.seed, out_dir=folder, progress=progress, **options)


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

    def __init__(self, members: Sequence[Parc]) -> None:
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
    """The shipped tokens, adapted as by examples/meso.yaml; without meso simulations draws of the prior."""
    micro = MicroTokens.load(resolved(Path("hmx-standard")))
    if task.cell.n == 0:
        return MesoTokens.of_prior(micro, RECIPE.meso)
    return _adapted(task, micro, RECIPE.meso.stages)


def twin(task: Task) -> Forecaster:
    """The same, by regression for as many steps."""
    means, *others = RECIPE.meso.stages
    steps = means.steps + sum(stage.steps for stage in others)
    return Twin(_adapted(task, MicroTokens.load(resolved(Path("hmx-standard"))), (means.model_copy(update={"steps": steps}),)))


def _adapted(task: Task, micro: MicroTokens, stages: Sequence[Any]) -> MesoTokens:
    settings = RECIPE.meso
    torch.manual_seed(task.cell.seed)
    model = MesoTokens.untrained(micro, task.chosen(), settings)
    replayed = task.micro.subset(subset_order(len(task.micro), task.cell.seed)[: settings.replay])
    task.train(model, task.chosen(), stages, devices=DEVICES, replay=replayed)
    return model


def micro_tokens(task: Task) -> Forecaster:
    """The shipped tokens as they are."""
    return MicroTokens.load(resolved(Path("hmx-standard")))


def scratch(task: Task) -> Forecaster:
    """Tokens that learn from the cell's simulations alone, by the recipe of micro tokens."""
    torch.manual_seed(task.cell.seed)
    chosen = task.chosen()
    model = MicroTokens.untrained(chosen, SCRATCH.tokens)
    task.train(model, chosen, SCRATCH.stages, devices=DEVICES)
    return model


def parc(task: Task) -> Parc:
    """PARC, trained on the cell's simulations alone."""
    return _parc(task, PARC)


def _parc(task: Task, settings: ParcConfig, kind: type[Parc] = Parc) -> Parc:
    torch.manual_seed(task.cell.seed)
    chosen = task.chosen()
    model = kind(settings, Normalizer.fit(chosen), chosen.grid)
    task.train(model, chosen, settings.stages)
    return model.eval()


def parc_half(task: Task) -> Forecaster:
    """The same with half the steps."""
    return _parc(task, PARC_HALF)


def parc_literal(task: Task) -> Forecaster:
    """PARCv2 at full resolution, as long."""
    return _parc(task, PARC, LiteralParc)


def parc_ensemble(task: Task) -> Forecaster:
    """Mean of PARC trained with four seeds."""
    return MeanOf([parc(task.of(Cell("parc", task.cell.n, seed))) for seed in range(4)])


def parc_pretrained(task: Task) -> Forecaster:
    """PARC, trained on micro simulations first and then on the cell's."""
    torch.manual_seed(0)
    model = Parc(PARC, Normalizer.fit(task.micro), task.micro.grid)
    task.before.train(model, task.micro, PARC.stages)
    gentle = [stage.model_copy(update={"learning_rate": stage.learning_rate / 4, "optimizer": "adamw"}) for stage in PARC.stages[1:]]
    task.train(model, task.chosen(), gentle)
    return model.eval()


def mld(task: Task) -> Forecaster:
    """The predecessor's method: codec and dynamics of micro simulations, then the networks of all fields on the cell's."""
    torch.manual_seed(0)
    model = Mld(Normalizer.fit(task.micro), task.micro.grid)
    codec = stage_of(VariationalCodec(), "codec", steps=MLD["codec"], horizon=1, batch_size=16, learning_rate=1e-3)
    task.before.train(
        model, task.micro, [codec, *evolution_stages("decoupled", MLD["decoupled"]), *evolution_stages("coupled", MLD["coupled"])]
    )
    task.train(model, task.chosen(), evolution_stages("coupled", MLD["meso"], batch_size=2, learning_rate=3e-4))
    return model.eval()


def persistence(task: Task) -> Forecaster:
    """The first frame."""
    return Persistence(task.meso.fields)


MODELS: dict[str, Callable[[Task], Forecaster]] = {
    made.__name__: made
    for made in (tokens, twin, micro_tokens, scratch, parc, parc_half, parc_literal, parc_ensemble, parc_pretrained, mld, persistence)
}

#: Settings of what they train.
SETTINGS: dict[str, Any] = {
    "tokens": RECIPE.meso,
    "twin": RECIPE.meso,
    "scratch": SCRATCH,
    "parc": PARC,
    "parc_half": PARC_HALF,
    "parc_literal": PARC,
    "parc_ensemble": PARC,
    "parc_pretrained": PARC,
    "mld": MLD,
}


def run(data: Path, cells: Sequence[Cell], *, split: str, draws: int, simulations: int | None, folder: Path, out: Path) -> None:
    """Compute the cells that are not there yet."""
    known = MicroTokens.load(resolved(Path("hmx-standard")))
    names, context = tuple(spec.name for spec in known.fields), known.normalizer.context_names

    def opened(scale: str, part: str) -> TrajectorySet:
        return TrajectorySet.open(split_folder(data / scale, part), names, context)

    tested = opened("meso", split)
    tested = tested.subset(range(simulations or len(tested)))
    for cell in cells:
        path = out / split / f"{cell}.json"
        asked = {"split": split, "simulations": list(tested.names), "leads": list(LEADS), "draws": draws}
        if path.exists():
            _require_same(path, asked)
            print(f"{cell}: done before, {path}")
            continue
        task = Task(cell, opened("micro", "train"), opened("meso", "train"), folder / str(cell))
        model = MODELS[cell.model](task) if cell.model in MODELS else make_forecaster(cell.model, task.chosen())
        request = {"leads": LEADS, "field": HOT.field, "hotspot": HOT}
        tables = score_by_simulation(
            model, tested, **request, members=draws, seed=cell.seed,
            progress=lambda done, total, cell=cell: print(f"{cell}: scored {done}/{total}", flush=True),
        )  # fmt: skip
        scores = {"scores": tables}
        if getattr(model, "deterministic", False) and split != "valid":
            errors = error_quantiles(model, opened("meso", "valid"), **request, members=QUANTILES)
            scores["with_errors"] = score_by_simulation(model, tested, **request, members=1, seed=cell.seed, errors=errors)
        settings = SETTINGS.get(cell.model)
        document = {
            "cell": cell._asdict(),
            **asked,
            "threshold": HOT.threshold,
            "error_quantiles": QUANTILES,
            "trained_on": list(task.chosen().names),
            "training_minutes": round(task.minutes, 2),
            "settings": settings.model_dump(mode="json") if hasattr(settings, "model_dump") else settings,
            "weights": file_digest(resolved(Path("hmx-standard"))),
            "data": {part: _identity(opened("meso", part)) for part in ("train", "valid", split)},
            "version": probtokens.__version__,
            "versions": versions(),
            "hardware": hardware(),
        } | {
            kind: {name: {key: _rounded(values) for key, values in table.items()} for name, table in found.items()}
            for kind, found in scores.items()
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(document, indent=None) + "\n", encoding="ascii")
        print(f"{cell}: {path}")


def _require_same(path: Path, asked: dict[str, Any]) -> None:
    """See that a cell that is there answers what is asked."""
    there = json.loads(path.read_text(encoding="ascii"))
    for key, value in asked.items():
        if there[key] != value:
            raise ValueError(
                f"{path}: {key}: expected {value!s:.80}, found {there[key]!s:.80}; name another folder with --out, or remove it"
            )


def _identity(trajectories: TrajectorySet) -> str:
    """Hash of the names and context scalars of simulations, by which sets of other seeds are told apart."""
    told = json.dumps([list(trajectories.names), trajectories.context.tolist()])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[float(f"{value:.{DIGITS}g}") for value in row] for row in values.tolist()]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="train and score cells")
    running.add_argument("data", type=Path, help="folder with meso/ and micro/")
    running.add_argument("cells", nargs="+", type=Cell.of, help=f"MODEL-N-SEED; models {', '.join(MODELS)}")
    running.add_argument("--draws", type=int, default=16)
    running.add_argument("--simulations", type=int, help="score the first so many; all by default")
    running.add_argument("--folder", type=Path, default=Path("runs/suite"), help="checkpoints of trainings")
    told = commands.add_parser("summary", help="one line for each cell")
    written = commands.add_parser("page", help="the results page and its picture")
    written.add_argument("page", type=Path, nargs="?", default=Path("docs/meso_results.md"), help="Markdown file; PAGE.in is its text")
    for command in (running, told, written):
        command.add_argument("--split", choices=("valid", "test"), default="valid")
        command.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    if args.command == "run":
        run(args.data, args.cells, split=args.split, draws=args.draws, simulations=args.simulations, folder=args.folder, out=args.out)
    cells = read_cells(args.out / args.split)
    if args.command == "page":
        write_page(cells, args.page, read_cells(args.out / "valid"))
    for row in summary(cells):
        print(" ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
