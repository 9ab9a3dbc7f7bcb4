"""Describes a run folder: what is done, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import rich.console
from rich.text import Text

from probtokens.config import Config, load_config
from probtokens.evaluate import load_scores
from probtokens.pipeline.console import format_seconds
from probtokens.pipeline.engine import State, at_work, states
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages, required
from probtokens.pipeline.record import read_record
from probtokens.pipeline.stage import Stage
from probtokens.pipeline.table import score_table
from probtokens.screen import TextTable, print_table, say

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
    config = load_config(folder.config)
    stages = build_stages(config, folder)
    wanted = required(stages, "report") | {stage.name for stage in stages if stage.command == "simulate"}
    stages = tuple(stage for stage in stages if stage.name in wanted)
    found = states(folder, stages)
    say(screen, (str(folder.root), "bold"), f": run {config.name!r}, seed {config.seed}")
    for line in _highlights(config):
        say(screen, line)
    busy = at_work(folder)
    print_table(screen, _stage_table(folder, stages, found, _WORDS | {"partial": _AT_WORK} if busy else _WORDS))
    if found["evaluate"] == "done":
        print_table(screen, score_table(load_scores(folder.scores)))
    say(screen, "a process is at work in this folder" if busy else _next_step(folder, found))


def _highlights(config: Config) -> list[str]:
    lines = []
    for scale in config.scales:
        given, campaign = getattr(config.data, scale), getattr(config.simulate, scale)
        pressure = campaign.shock_pressure
        lines.append(
            f"{scale} data: {given}"
            if given
            else f"{scale} data: simulated, {campaign.n_train} + {campaign.n_valid} + {campaign.n_test} runs of "
            f"{campaign.ny} × {campaign.nx} cells, {campaign.n_times} frames, P_s {pressure.low:g} … {pressure.high:g} GPa"
        )
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


def _next_step(folder: RunFolder, found: Mapping[str, State]) -> str:
    if all(state == "done" for state in found.values()):
        return f"complete; open {folder.report}"
    missing = [name for name, state in found.items() if state != "done"]
    command = "simulate" if all(name.startswith("simulate_") for name in missing) else "run"
    return f"continue with: probtokens {command} {folder.config} --out {folder.root}"
