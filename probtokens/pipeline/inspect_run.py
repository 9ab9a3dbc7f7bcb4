"""Describes a run folder: what is done, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import rich.console
from rich.text import Text

from probtokens.config import Config, load_config
from probtokens.config.benchmark import BenchmarkConfig
from probtokens.config.recipe import is_benchmark, load_recipe
from probtokens.console import format_seconds
from probtokens.evaluate import load_scores
from probtokens.pipeline.engine import State, at_work, states
from probtokens.pipeline.fingerprint import fingerprints
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages, required
from probtokens.pipeline.record import read_record
from probtokens.pipeline.stage import Stage
from probtokens.pipeline.table import score_table
from probtokens.screen import TextTable, next_step, print_table, say

_WORDS: dict[State, Text] = {
    "done": Text("done", style="green"),
    "damaged": Text("files changed since", style="yellow"),
    "partial": Text("interrupted", style="yellow"),
    "outdated": Text("made with other settings", style="yellow"),
    "absent": Text("not yet"),
}
_AT_WORK = Text("at work", style="green")


def describe_run(folder: RunFolder, screen: rich.console.Console) -> None:
    """Print the main settings, the state of every stage, the scores if they are current, and the next step.

    Raises
    ------
    ValueError
        If the saved configuration or the scores cannot be read.
    """
    config = _load(folder.config, screen, str(folder.root))
    stages = _wanted(build_stages(config, folder))
    found = states(folder, stages)
    busy = at_work(folder)
    print_table(screen, _stage_table(folder, stages, found, _WORDS | {"partial": _AT_WORK} if busy else _WORDS))
    if found["evaluate"] == "done":
        print_table(screen, score_table(load_scores(folder.scores)))
    if busy:
        say(screen, "a process is at work in this folder")
        next_step(screen, f"wait for it; its last lines: tail {folder.log}")
    else:
        next_step(screen, _command_for(folder, [stage for stage in stages if found[stage.name] != "done"]))


def describe_recipe(path: Path, screen: rich.console.Console) -> None:
    """Print the main settings of a recipe, whether they fit each other, and how to run it.

    Raises
    ------
    ValueError
        If it is no recipe.
    """
    if is_benchmark(path):
        _describe_benchmark(load_recipe(BenchmarkConfig, path), path, screen)
        return
    config = _load(path, screen, str(path))
    next_step(screen, f"probtokens run {path} --out runs/{config.name}")


def _describe_benchmark(config: BenchmarkConfig, path: Path, screen: rich.console.Console) -> None:
    say(screen, (str(path), "bold"), f": benchmark {config.name!r} of {config.data}, scored on {config.split}, {config.draws} draws")
    for model, numbers in config.cells.items():
        told = ", ".join(f"{n} ({seeds} seeds)" if seeds > 1 else str(n) for n, seeds in numbers.items())
        say(screen, f"{model}: meso simulations {told}")
    say(screen, f"scored fields: {config.hotspot_field}, hot spots above {config.hotspot_threshold:g}; leads {list(config.leads)}")
    next_step(screen, f"probtokens benchmark {path} --out runs/{config.name}")


def next_command(folder: RunFolder, stages: Sequence[Stage]) -> str:
    """What to do after a sub-command: the first stage that is not finished, going by records alone, or to look at the report."""
    known = fingerprints(stages)
    records = {stage.name: read_record(folder.record(stage.name)) for stage in stages}
    finished = {name for name, record in records.items() if record and (record.fingerprint, record.status) == (known[name], "done")}
    return _command_for(folder, [stage for stage in _wanted(stages) if stage.name not in finished])


def _load(path: Path, screen: rich.console.Console, title: str) -> Config:
    """Configuration with its main settings printed; what does not fit each other in it is told, and is no error."""
    config = load_config(path, uses=())
    say(screen, (title, "bold"), f": run {config.name!r}, seed {config.seed}")
    for line in _highlights(config):
        say(screen, line)
    try:
        load_config(path)
    except ValueError as error:
        say(screen, (f"only some commands can use it: {error}", "yellow"))
    return config


def _wanted(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Stages of a whole run and all simulations, in order."""
    wanted = required(stages, "report") | {stage.name for stage in stages if stage.command == "simulate"}
    return tuple(stage for stage in stages if stage.name in wanted)


def planned_data(config: Config) -> list[str]:
    """A line for each scale that a run needs: its data, or what is simulated, and whether the recipe or a default says so."""
    lines = []
    for scale in config.scales:
        given, campaign = getattr(config.data, scale), getattr(config.simulate, scale)
        pressure = campaign.shock_pressure
        default = "" if scale in config.simulate.model_fields_set else f", by default: the recipe has no simulate.{scale}"
        lines.append(
            f"{scale} data: {given}"
            if given
            else f"{scale} data: simulated, {campaign.n_train} + {campaign.n_valid} + {campaign.n_test} runs of "
            f"{campaign.ny} × {campaign.nx} cells, {campaign.n_times} frames, P_s {pressure.low:g} … {pressure.high:g} GPa{default}"
        )
    return lines


def _highlights(config: Config) -> list[str]:
    lines = planned_data(config)
    if config.data.micro_tokens is not None:
        lines.append(f"micro tokens: {config.data.micro_tokens}")
    used = config.meso.n_simulations
    meso = f"meso runs learned from: {'all' if used is None else used}; " if "meso" in config.scales else ""
    lines.append(f"{meso}members: {config.rollout.members}")
    lines.append(f"fields: {', '.join(config.data.fields)}; models: {', '.join(config.rollout.models)}")
    return lines


def _stage_table(folder: RunFolder, stages: Sequence[Stage], found: Mapping[str, State], words: Mapping[State, Text]) -> TextTable:
    table = TextTable()
    for header in ("stage", "state", "time", "finished", "precision"):
        table.column(header)
    for stage in stages:
        record = read_record(folder.record(stage.name))
        if record is None or record.seconds is None or record.finished is None:
            table.row(stage.title, words[found[stage.name]], "", "", "")
        else:
            when = record.finished[:16].replace("T", " ")
            precision = ", ".join(sorted(set(record.precision.values())))
            table.row(stage.title, words[found[stage.name]], format_seconds(record.seconds), f"{when} UTC", precision)
    return table


def _command_for(folder: RunFolder, missing: Sequence[Stage]) -> str:
    if not missing:
        return f"complete; open {folder.report}"
    arguments = f"{folder.config} --out {folder.root}"
    if all(stage.command == "simulate" for stage in missing):
        return f"continue with: probtokens simulate {arguments}"
    return f"continue with: probtokens run {arguments} (the next stage alone: probtokens {missing[0].command} {arguments})"
