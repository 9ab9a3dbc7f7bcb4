"""What every training stage and every source of variance buys a finished run's micro tokens, on validation simulations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probtokens.config import Config, load_config
from probtokens.console import Progress
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.record import hardware, versions
from probtokens.pipeline.work.evaluate import provenance
from probtokens.pipeline.work.simulations import open_split

if TYPE_CHECKING:
    from probtokens.evaluate.summary import Table
    from probtokens.models.micro import MicroTokens
    from probtokens.models.state_space import Sources

#: Leads told, beside the last.
LEADS = (1, 5, 10)


def ablate_micro(
    folder: RunFolder, *, field: str | None = None, members: int | None = None, simulations: int | None = None, progress: Progress
) -> dict[str, Any]:
    """Score the micro tokens of a run after each stage that it has, and at the end with some sources of variance only.

    Test simulations are never read.

    Parameters
    ----------
    folder
        A run whose micro tokens are trained.
    field
        Name of the field to score; that of the hot spots by default.
    members
        Draws, at least 2; those of the recipe's rollouts by default.
    simulations
        How many of the validation simulations, the first ones; all by default.
    progress
        Told after each simulation of each row.

    Returns
    -------
    dict
        ``provenance``, ``split``, ``simulations`` and ``members`` (numbers), ``field``, ``units``, ``leads`` and their ``time``,
        ``stages`` and ``sources``: name of a row to scores by lead; see :func:`probtokens.evaluate.ablation.score_leads` and
        :func:`~probtokens.evaluate.ablation.with_variance_shares`. The last stage is the row ``"all"`` of the sources. ``gains``: by the
        name of a row what it buys, over the stage before or over all sources; see :func:`~probtokens.evaluate.ablation.gain`.

    Raises
    ------
    ValueError
        If the run is not finished, a file lacks or does not belong to it (the message names it), or a number does not fit.
    """
    from probtokens.evaluate.ablation import gain, pooled, source_rows, with_variance_shares
    from probtokens.evaluate.leads import CELLS, score_by_simulation
    from probtokens.models.micro import MicroTokens

    config = load_config(folder.config)
    field = config.evaluate.hotspot_field if field is None else field
    members = config.rollout.members if members is None else members
    if members < 2:
        raise ValueError(f"members: expected >= 2, got {members}")
    model = MicroTokens.load(folder.model("micro"))
    after = _stage_models(config, folder, model)
    trajectories = open_split(config, folder, "micro", "valid")
    used = len(trajectories) if simulations is None else simulations
    trajectories = trajectories.subset(range(used))
    leads = _leads(trajectories.grid.n_times - 1)
    sources = source_rows(model)
    # The model is what the last stage left, and that is drawn from all sources.
    other = list(after.items())[:-1]
    each_row = _counted(progress, len(other) + len(sources))

    def score(name: str, model: MicroTokens, drawn: Sources) -> Table:
        told = each_row(name)
        tables = score_by_simulation(
            model, trajectories, leads, field=field, members=members, seed=config.seed, sources=drawn, progress=told
        )
        return tables[CELLS]

    tables = {name: score(name, model, sources["all"]) for name, model in other}
    tables |= {name: score(name, model, drawn) for name, drawn in sources.items()}
    rows = {name: pooled(table, members if sources.get(name, sources["all"]) else 1) for name, table in tables.items()}
    if after:
        last = list(after)[-1]
        tables[last], rows[last] = tables["all"], rows["all"]
    against = dict(zip(list(after)[1:], after, strict=False)) | {name: "all" for name in sources if name != "all"}
    unit = next(spec.unit for spec in trajectories.fields if spec.name == field)
    return {
        "provenance": provenance(config, folder) | {"versions": versions(), "hardware": hardware()},
        "split": "valid",
        "simulations": used,
        "members": members,
        "field": field,
        "units": {"rmse": unit, "crps": unit, "variance": f"({unit})²", "time": trajectories.grid.time_unit},
        "leads": leads,
        "time": [lead * trajectories.grid.time_step for lead in leads],
        "stages": {name: rows[name] for name in after},
        "sources": with_variance_shares({name: rows[name] for name in sources}),
        "gains": {name: gain(tables[name], tables[reference]) for name, reference in against.items()},
    }


def ablation_table(document: Mapping[str, Any]) -> str:
    """Rows of :func:`ablate_micro` as two Markdown tables; cells hold one number for each lead."""
    unit = document["units"]["rmse"]
    leads = ", ".join(str(lead) for lead in document["leads"])
    header = (
        ("RMSE", "rmse", unit, 0),
        ("CRPS", "crps", unit, 1),
        ("spread/skill", "spread_skill", "1", 2),
        ("90 % covers", "coverage_90", "1", 2),
    )
    share = (*header, ("share of the variance", "variance_share", "1", 2))
    lines = [
        f"Scores of {document['field']} in {document['simulations']} validation simulations, {document['members']} members, "
        f"seed {document['provenance']['seed']}; numbers of a cell are leads {leads}. CRPS saved is over the stage before, or over all "
        "sources, and miscoverage is what |coverage - 0.9| falls by; with 95 % intervals over simulations.",
    ]
    for first, columns, rows in (("after stage", header, document["stages"]), ("drawn from", share, document["sources"])):
        lines += ["", *_markdown(first, columns, rows, document["gains"])] if rows else []
    return "\n".join(lines) + "\n"


#: Gains of a row: title, key, factor and digits.
_GAINS = (("CRPS saved [%]", "crps", 100, 1), ("miscoverage saved", "miscoverage", 1, 3))


def _markdown(
    first: str,
    columns: Sequence[tuple[str, str, str, int]],
    rows: Mapping[str, Mapping[str, Any]],
    gains: Mapping[str, Mapping[str, Sequence[float]]],
) -> list[str]:
    def cell(values: Sequence[float | None], digits: int) -> str:
        return " · ".join("–" if value is None else f"{value:.{digits}f}" for value in values)

    def gained(found: Sequence[float] | None, factor: float, digits: int) -> str:
        if found is None:
            return "–"
        value, low, high = (f"{factor * number:.{digits}f}" for number in found)
        return f"{value} ({low} to {high})"

    titles = [first, *(title if unit == "1" else f"{title} [{unit}]" for title, _, unit, _ in columns), *(title for title, *_ in _GAINS)]
    lines = [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"]
    for name, row in rows.items():
        cells = [
            name,
            *(cell(row[key], digits) for _, key, _, digits in columns),
            *(gained(gains.get(name, {}).get(key), *style) for _, key, *style in _GAINS),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _stage_models(config: Config, folder: RunFolder, final: MicroTokens) -> dict[str, MicroTokens]:
    """The tokens as every stage left them, by the name of its file; the last must have the weights of ``final``. None of given tokens."""
    from probtokens.models.files import load_stage
    from probtokens.models.micro import MicroTokens
    from probtokens.train.loop import stage_file

    if config.data.micro_tokens is not None:
        return {}
    if not config.micro.stages:
        raise ValueError(f"{folder.config}: expected at least one of micro.stages, got none")
    models = {}
    for number, stage in enumerate(config.micro.stages):
        path = stage_file(folder.training("micro"), number, stage)
        model = MicroTokens.load(folder.model("micro"))
        load_stage(path, model)
        model.name = path.stem
        models[path.stem] = model
    expected = final.state_dict()
    if any(not value.equal(expected[name]) for name, value in model.state_dict().items()):
        raise ValueError(f"{path}: expected the weights of {folder.model('micro')}, got others")
    return models


def _leads(last: int) -> list[int]:
    return [lead for lead in LEADS if lead < last] + [last]


def _counted(progress: Progress, n_rows: int) -> Callable[[str], Callable[[int, int], None]]:
    """Progress over all simulations of all rows, from that within each."""
    finished = 0

    def row(name: str) -> Callable[[int, int], None]:
        nonlocal finished
        before = finished
        finished += 1
        return lambda done, total: progress(before * total + done, n_rows * total, name)

    return row
