"""Says whether a run's micro simulations cover the states that its meso simulations visit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console
from rich.text import Text

from probtokens import __version__
from probtokens.config import Config, TokenConfig, load_config
from probtokens.console import Console
from probtokens.data.atomic import replacing
from probtokens.evaluate.scores_file import without_nan
from probtokens.pipeline.engine import require_done
from probtokens.pipeline.fingerprint import fingerprints
from probtokens.pipeline.folder import SCALES, RunFolder, Scale, Split
from probtokens.pipeline.graph import build_stages
from probtokens.pipeline.work.simulations import data_root
from probtokens.screen import TextTable, next_step, open_screen, print_table, say

if TYPE_CHECKING:
    from probtokens.data import TrajectorySet
    from probtokens.evaluate.coverage import Coverage

_DPI = 150.0
#: Coverage is used to choose simulations; test simulations may not choose anything.
_SPLITS: tuple[Split, ...] = ("train", "valid")
_STYLES = {"covered": "green", "not covered": "red", "undecided": "yellow"}


def describe_coverage(path: Path, screen: rich.console.Console | None = None) -> None:
    """Compare the states of a run's training and validation data, print a table, write a figure and the numbers to ``path``/coverage.

    No record of the run is touched, and no test simulation is read.

    Parameters
    ----------
    path
        Run folder whose data are there.
    screen
        Where to print; standard output by default.

    Raises
    ------
    ValueError
        If it is no run folder, its hot spots are not of temperature, data are missing or do not fit; for data that the run
        makes itself the message names the command.
    """
    from probtokens.evaluate.coverage import measure_coverage
    from probtokens.report.coverage import coverage_figure
    from probtokens.report.style import figure_style, png_bytes

    screen = screen or open_screen()
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise ValueError(f"{path}: expected a run folder (with config.yaml) for its coverage, found none")
    config = load_config(folder.config, uses=("micro", "evaluate"))
    if config.evaluate.hotspot_field != "temperature":
        raise ValueError(f"{path}: expected hot spots of temperature for its coverage, got some of {config.evaluate.hotspot_field!r}")
    _require_data(config, folder)
    sets = {(scale, split): _open(config, folder, scale, split) for scale in SCALES for split in _SPLITS}
    with Console().stage("coverage") as progress:
        coverage = measure_coverage(
            sets["micro", "train"],
            sets["micro", "valid"],
            {split: sets["meso", split] for split in _SPLITS},
            _tokens(config, folder),
            threshold=config.evaluate.hotspot_threshold,
            seed=config.seed,
            progress=progress,
        )
    numbers = {"schema": 1, "version": __version__, "name": config.name, "meso_splits": list(_SPLITS), **coverage.numbers}
    with replacing(folder.coverage / "coverage.json") as temporary:
        text = json.dumps(without_nan(numbers), indent=1, allow_nan=False, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    with figure_style(), replacing(folder.coverage / "coverage.png") as temporary:
        temporary.write_bytes(png_bytes(coverage_figure(coverage, sets["micro", "train"].fields), _DPI))
    _print(coverage, folder, screen)


def _tokens(config: Config, folder: RunFolder) -> TokenConfig:
    """The lattice of the run's micro tokens, whether it trains them or is given some."""
    if config.data.micro_tokens is None:
        return config.micro.tokens
    from probtokens.models.micro import MicroTokens

    return MicroTokens.load(folder.model("micro")).tokens


def _require_data(config: Config, folder: RunFolder) -> None:
    stages = {stage.name: stage for stage in build_stages(config, folder)}
    known = fingerprints(tuple(stages.values()))
    for scale in SCALES:
        given: Path | None = getattr(config.data, scale)
        if given is None and f"simulate_{scale}" not in stages:
            raise ValueError(
                f"{folder.root}: expected a run with simulations of both scales for its coverage, got one without {scale} ones"
            )
        if given is None:
            require_done(folder, "inspect --coverage", stages[f"simulate_{scale}"], known[f"simulate_{scale}"])
        elif not given.is_dir():
            raise ValueError(f"data.{scale}: {given}: expected a folder of simulations, found none")


def _open(config: Config, folder: RunFolder, scale: Scale, split: Split) -> TrajectorySet:
    """One split without the context, which states do not depend on, and read anew at each pass, so that memory stays bounded."""
    from probtokens.data import TrajectorySet, split_folder

    return TrajectorySet.open(split_folder(data_root(config, folder, scale), split), config.data.fields, (), cache_bytes=0)


def _print(coverage: Coverage, folder: RunFolder, screen: rich.console.Console) -> None:
    numbers = coverage.numbers
    counts = numbers["simulations"]
    say(
        screen,
        f"Meso states ({counts['meso_train']} training + {counts['meso_valid']} validation simulations; no test simulations) "
        f"against {counts['micro']} micro training simulations; control: {counts['control']} held-out micro simulations.",
    )
    print_table(screen, _token_table(coverage))
    criterion = numbers["criterion"]
    say(
        screen,
        "beyond: tokens of held-out micro and of meso that are farther from the nearest micro training token than "
        f"{100 * criterion['quantile']:g} % of tokens are from other simulations of their own scale, micro or meso, whichever is "
        f"nearer; 90 % interval for meso. Covered: at most {100 * criterion['max_beyond']:g} %.\n"
        "RMSE: of the temperature that linear tokens reconstruct, held-out micro and meso.",
    )
    print_table(screen, _field_table(numbers["fields"]))
    errors = numbers["reconstruction"]
    for region, label in (("all", "all patches"), ("hot", "hot patches")):
        error = errors[region]
        say(
            screen,
            f"temperature by linear tokens, {label}: RMSE {_number(error['rmse_control'], '.3g')} K held-out micro, "
            f"{_number(error['rmse_meso'], '.3g')} K meso, ratio {_number(error['ratio'], '.2f')}",
        )
    _print_verdict(coverage, screen)
    say(screen, f"{folder.coverage / 'coverage.png'}, {folder.coverage / 'coverage.json'}")
    next_step(screen, f"look at {folder.coverage / 'coverage.png'}; docs/coverage.md says what helps where micro does not cover meso")


def _print_verdict(coverage: Coverage, screen: rich.console.Console) -> None:
    failed, undecided = coverage.with_verdict("not covered"), coverage.with_verdict("undecided")
    if failed:
        say(screen, (f"not covered: {'; '.join(failed)}", "red"))
    if undecided:
        say(screen, (f"undecided, more simulations would tell: {'; '.join(undecided)}", "yellow"))
    if not failed and not undecided:
        say(screen, ("covered", "green"))


def _token_table(coverage: Coverage) -> TextTable:
    """One row for each kind of patch."""
    table = TextTable()
    table.column("patches by", "hottest cell")
    headers = (
        ("tokens", "micro"),
        ("", "meso"),
        ("beyond", "micro", "[%]"),
        ("", "meso", "[%]"),
        ("", "90 %", "[%]"),
        ("RMSE", "micro", "[K]"),
        ("", "meso", "[K]"),
    )
    for header in headers:
        table.column(*header, numbers=True)
    table.column("verdict")
    for row in coverage.strata:
        low, high = map(_percent, row.meso_interval)
        table.row(
            row.name,
            *(_count(tokens) for tokens in (row.micro_tokens, row.meso_tokens)),
            *map(_percent, (row.control_beyond, row.meso_beyond)),
            f"{low}–{high}",
            *(_number(error, ".3g") for error in (row.rmse_control, row.rmse_meso)),
            Text(row.verdict, style=_STYLES.get(row.verdict, "")),
        )
    return table


def _field_table(fields: Mapping[str, Any]) -> TextTable:
    """One row for each field: meso cells against micro training cells, for all and for hot ones."""
    table = TextTable()
    table.column("meso cells", "by field")
    for region in ("all", "hot"):
        for header in ((region, "outside", "range", "[%]"), ("", "outside", "99.8 %", "[%]"), ("", "", "overlap", "")):
            table.column(*header, numbers=True)
    for name, entry in fields.items():
        shown: list[str] = []
        for region in ("all", "hot"):
            meso = entry[region]["meso"]
            shown += [_number(100 * meso[key], ".3g") for key in ("outside_range", "outside_central")]
            shown.append(_number(meso["overlap"], ".2f"))
        table.row(name, *shown)
    return table


def _number(value: float, form: str) -> str:
    return "–" if value != value else format(value, form)


def _percent(share: float) -> str:
    """A share in per cent, to two digits or whole numbers.

    >>> _percent(0.0307), _percent(0.995), _percent(float("nan"))
    ('3.1', '100', '–')
    """
    return _number(100 * share, ".1f" if 100 * share < 9.95 else ".0f")


def _count(tokens: int) -> str:
    """Three digits of a count.

    >>> _count(412), _count(20286), _count(1930000)
    ('412', '20.3k', '1.93M')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g}{letter}"
    return str(tokens)
