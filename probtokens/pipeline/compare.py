"""The scores of two runs beside each other."""

from __future__ import annotations

import math
from pathlib import Path

import rich.console

from probtokens.data.atomic import replacing
from probtokens.evaluate import Pair, compare_documents, load_scores
from probtokens.pipeline.folder import RunFolder
from probtokens.screen import TextTable, next_step, open_screen, print_table, say

_FORMATS = (".png", ".pdf", ".svg")


def compare_runs(first: Path, second: Path, picture: Path | None = None, *, screen: rich.console.Console | None = None) -> list[Pair]:
    """Print the CRPS of every model, field and curve that two runs share, and the skill of the first over the second.

    Parameters
    ----------
    first, second
        Run folders, or files of scores.
    picture
        Where to draw the skills; its ending is the format.
    screen
        Where to print; standard output by default.

    Returns
    -------
    list of Pair
        What was printed.

    Raises
    ------
    ValueError
        If there are no scores, they are not comparable, or the picture has another ending.
    """
    if picture is not None and picture.suffix not in _FORMATS:
        raise ValueError(f"{picture}: expected a picture that ends with one of {list(_FORMATS)}, got {picture.suffix!r}")
    screen, documents = screen or open_screen(), [load_scores(_scores(path)) for path in (first, second)]
    pairs = compare_documents(*documents)
    units = {part: documents[0]["units"][part] for part in ("fields", "hotspot")}
    common = max((pair.paired.n for pair in pairs if pair.paired is not None), default=0)
    print_table(screen, _table(pairs, units, common))
    if picture is not None:
        _draw(pairs, (first.name, second.name) if first.name != second.name else (str(first), str(second)), picture)
        say(screen, f"picture: {picture}")
    next_step(screen, f"look at {picture}" if picture is not None else "the same command with --picture FILE.png draws the skills")
    return pairs


def _scores(path: Path) -> Path:
    """The scores of a run folder, or the file itself."""
    return RunFolder(path).scores if path.is_dir() else path


def _table(pairs: list[Pair], units: dict[str, dict[str, str]], common: int) -> TextTable:
    caption = f"Paired over {common} simulations that both forecast: 95 % bootstrap interval, p of a sign-flip test."
    none = "The runs share no two simulations: no intervals, and a difference may be one of simulations."
    table = TextTable(title="CRPS; skill: first below second", caption=caption if common else none)
    for header in ("model", "quantity", "first", "second", "skill", "interval", "p"):
        table.column(header, numbers=header not in ("model", "quantity"))
    for pair in pairs:
        unit = units[pair.part][pair.name]
        table.row(
            pair.model, f"{_named(pair)}{'' if unit == '1' else f' [{unit}]'}", f"{pair.first:.3g}", f"{pair.second:.3g}", *_told(pair)
        )
    return table


def _told(pair: Pair) -> tuple[str, str, str]:
    found = pair.paired
    if found is None:
        return (_percent(1 - pair.first / pair.second) if pair.second > 0 else "–", "–", "–")
    known = math.isfinite(found.skill_low) and math.isfinite(found.skill_high)
    interval = f"{_percent(found.skill_low)} to {_percent(found.skill_high)}" if known else "–"
    return _percent(found.skill), interval, f"{found.p_value:.2g}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if math.isfinite(value) else "–"


def _draw(pairs: list[Pair], runs: tuple[str, str], path: Path) -> None:
    from probtokens.report.comparison import comparison_figure
    from probtokens.report.style import figure_style

    labels = {(pair.part, pair.name): _named(pair) for pair in pairs}
    with figure_style(), replacing(path) as temporary:
        comparison_figure(pairs, labels, runs).savefig(temporary, format=path.suffix[1:], dpi=150)


def _named(pair: Pair) -> str:
    """Fields by cell and curves of one name, e.g. of temperature, are told apart."""
    return pair.name.replace("_", " ") + (" of cells" if pair.part == "fields" else " by time")
