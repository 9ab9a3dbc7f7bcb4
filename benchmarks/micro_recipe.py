"""What each mechanism of the micro recipe is worth: a short version of it with all of them, and without one at a time.

    python -m benchmarks.micro_recipe runs/standard/data/micro
    python -m benchmarks.micro_recipe runs/standard/data/micro --trained runs/micro/checkpoints/micro

Rows learn from the same few pores with the same seed, and are scored on all validation simulations. A row trains only the stages that are
not those of the whole recipe so far, and goes on where it was stopped. What the stage after the dynamics is worth, a whole training tells.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from probtokens.config import Config, Stage, load_config
from probtokens.data import TrajectorySet, split_folder, subset_order
from probtokens.data.atomic import replacing
from probtokens.evaluate.ablation import gain, pooled
from probtokens.evaluate.leads import CELLS, score_by_simulation
from probtokens.fields import HotSpot
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.record import hardware, versions
from probtokens.train import train_stages
from probtokens.train.loop import stage_file

RECIPE = Path(__file__).parents[1] / "examples" / "micro.yaml"
LEADS = (2, 5, 10, 15, 20, 30, 40)
HOT = HotSpot("temperature", 875.0)
#: Processes that share a training's batches.
DEVICES = 2
PARTS = ("train", "valid")

#: The recipe itself.
WHOLE = "recipe"

#: A recipe as its file has it, to be changed in place.
Document = dict[str, Any]


def _stage(recipe: Document, name: str) -> dict[str, Any]:
    return next(stage for stage in recipe["micro"]["stages"] if stage["name"] == name)


def _in_all(key: str, value: Any) -> Callable[[Document], None]:
    def change(recipe: Document) -> None:
        for stage in recipe["micro"]["stages"]:
            if key in stage:
                stage[key] = value

    return change


def _without_shifts(recipe: Document) -> None:
    _in_all("shifts", 0)(recipe)
    recipe["micro"]["tokens"]["views"] = "mirrored"


def _without_late(recipe: Document) -> None:
    late = _stage(recipe, "late")
    _stage(recipe, "dynamics")["steps"] += late["steps"]
    recipe["micro"]["stages"].remove(late)


#: What is left out, by the name of the row.
WITHOUT: Mapping[str, Callable[[Document], None]] = {
    "field weights": _in_all("field_weights", {}),
    "curriculum": _in_all("curriculum", {}),
    "stage late (dynamics has its steps)": _without_late,
    "latest start": _in_all("latest_start", None),
    "muon (AdamW instead)": _in_all("optimizer", "adamw"),
    "gate at rest": lambda recipe: recipe["micro"]["tokens"].update(rest={}),
    "shifted patches and views": _without_shifts,
}

#: Last stage that is left out of a whole training, by the name of the row.
UNFINISHED = {"stage noise": "noise"}


def short_recipe(share: float, recipe: Path = RECIPE) -> Document:
    """The recipe with a share of its steps."""
    document = full_recipe(recipe)
    for stage in document["micro"]["stages"]:
        stage["steps"] = max(1, round(share * stage["steps"]))
    return document


def full_recipe(recipe: Path = RECIPE) -> Document:
    """The recipe without the guide, on which no forecast depends."""
    document = load_config(recipe).model_dump(mode="json")
    document["micro"]["stages"].remove(_stage(document, "guide"))
    return document


def begin(folder: Path, settings: Config, whole: Config, from_folder: Path) -> None:
    """Take over the stages that a row shares with the whole recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    if settings.micro.tokens != whole.micro.tokens:
        return
    for number, (mine, other) in enumerate(zip(settings.micro.stages, whole.micro.stages, strict=False)):
        if mine != other:
            return
        for path in (stage_file(from_folder, number, other), stage_file(from_folder, number, other).with_suffix(".json")):
            if not (folder / path.name).exists():
                shutil.copy(path, folder / path.name)


def run(data: Path, *, pores: int, share: float, draws: int, seed: int, folder: Path) -> Document:
    """Train and score the short recipe and all rows."""
    whole = Config.model_validate(short_recipe(share))
    training, validation = _opened(data, whole)
    training = training.subset(subset_order(len(training), seed)[:pores])

    def trained(row: str) -> MicroTokens:
        document, place, settings = short_recipe(share), folder / row.split(" (")[0].replace(" ", "_"), whole
        if row != WHOLE:
            WITHOUT[row](document)
            settings = Config.model_validate(document)
            begin(place, settings, whole, folder / WHOLE)
        return _trained(settings, settings.micro.stages, training, place, seed, row)

    found = _scored([WHOLE, *WITHOUT], trained, validation, draws, seed)
    return {"pores": pores, "share": share, "steps": {stage.name: stage.steps for stage in whole.micro.stages}} | found


def run_stages(data: Path, checkpoints: Path, *, draws: int, seed: int) -> Document:
    """Score a training by the whole recipe, also before its last stage.

    Raises
    ------
    ValueError
        If a stage is not there.
    """
    whole = Config.model_validate(full_recipe())
    training, validation = _opened(data, whole)

    def trained(row: str) -> MicroTokens:
        kept = [stage for stage in whole.micro.stages if stage.name != UNFINISHED.get(row)]
        for number, stage in enumerate(kept):
            if not (path := stage_file(checkpoints, number, stage)).exists():
                raise ValueError(f"{path}: expected a finished stage, found none")
        return _trained(whole, kept, training, checkpoints, seed, row)

    found = _scored([WHOLE, *UNFINISHED], trained, validation, draws, seed)
    return {"pores": len(training), "share": 1.0, "steps": {stage.name: stage.steps for stage in whole.micro.stages}} | found


def _opened(data: Path, settings: Config) -> tuple[TrajectorySet, TrajectorySet]:
    training, validation = (TrajectorySet.open(split_folder(data, part), settings.data.fields, settings.data.context) for part in PARTS)
    return training, validation


def _trained(settings: Config, stages: Sequence[Stage], training: TrajectorySet, place: Path, seed: int, row: str) -> MicroTokens:
    torch.manual_seed(seed)
    model = MicroTokens.untrained(training, settings.micro.tokens)

    def progress(stage: str, step: int, steps: int, loss: float) -> None:
        print(f"{row}: {stage} {step}/{steps}, loss {loss:.4g}", flush=True)

    decay = settings.micro.weight_decay
    train_stages(model, training, stages, weight_decay=decay, seed=seed, out_dir=place, devices=DEVICES, progress=progress)
    return model


def _scored(names: Sequence[str], trained: Callable[[str], MicroTokens], validation: TrajectorySet, draws: int, seed: int) -> Document:
    """Scores of all rows, and what the first has over each other one."""
    tables, rows = {}, {}
    for row in names:
        tables[row] = score_by_simulation(trained(row), validation, LEADS, field=HOT.field, members=draws, seed=seed, hotspot=HOT)
        rows[row] = {name: pooled(table, draws) for name, table in tables[row].items()}
    return {
        "draws": draws,
        "seed": seed,
        "simulations": len(validation),
        "leads": list(LEADS),
        "rows": rows,
        "gains": {row: {name: gain(tables[WHOLE][name], tables[row][name]) for name in tables[row]} for row in tables if row != WHOLE},
        "versions": versions(),
        "hardware": hardware(),
    }


def table(document: Document) -> str:
    """The rows as a Markdown table; numbers are means over leads."""
    steps = "the recipe's steps" if document["share"] == 1 else f"{document['share']:g} of the recipe's steps"
    lines = [
        f"Micro tokens of {document['pores']} pores, with {steps}, on {document['simulations']} "
        f"validation pores, {document['draws']} draws, seed {document['seed']}, leads {', '.join(map(str, document['leads']))}. "
        "Saved is what the recipe has over the row, with 95 % intervals over simulations.",
        "",
        "| without | CRPS [K] | spread/skill | 90 % covers | CRPS saved [%] | miscoverage saved | hot-spot area: CRPS saved [%] "
        "| hot-spot temperature: CRPS saved [%] |",
        "|" + " --- |" * 8,
    ]
    for row, scores in document["rows"].items():
        cells = scores[CELLS]
        gains = document["gains"].get(row, {})
        others = [name for name in scores if name != CELLS]
        told = [
            "–" if row == WHOLE else row,
            *(f"{_mean(cells[key]):.{digits}f}" for key, digits in (("crps", 2), ("spread_skill", 2), ("coverage_90", 3))),
            _interval(gains.get(CELLS, {}).get("crps"), 100, 1),
            _interval(gains.get(CELLS, {}).get("miscoverage"), 1, 3),
            *(_interval(gains.get(name, {}).get("crps"), 100, 1) for name in others),
        ]
        lines.append(f"| {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def _interval(found: list[float] | None, factor: float, digits: int) -> str:
    if found is None:
        return "–"
    value, low, high = (f"{factor * number:.{digits}f}" for number in found)
    return f"{value} ({low} to {high})"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the micro set, with train/ and valid/")
    parser.add_argument("--pores", type=int, default=96)
    parser.add_argument("--share", type=float, default=0.05, help="of the recipe's steps")
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/micro_recipe"), help="checkpoints of trainings")
    parser.add_argument("--trained", type=Path, help="checkpoints of a training by the whole recipe, whose last stage is judged instead")
    parser.add_argument("--out", type=Path, default=Path("docs/results/micro"), help="where the numbers and their table go")
    args = parser.parse_args()
    scored: dict[str, Any] = {"draws": args.draws, "seed": args.seed}
    if args.trained is None:
        stem, document = "mechanisms", run(args.data, pores=args.pores, share=args.share, folder=args.folder, **scored)
    else:
        stem, document = "stages", run_stages(args.data, args.trained, **scored)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, text in {f"{stem}.json": json.dumps(document, indent=1) + "\n", f"{stem}.md": table(document)}.items():
        with replacing(args.out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(table(document))


if __name__ == "__main__":
    main()
