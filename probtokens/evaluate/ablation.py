"""What the sources of a forecast's variance buy: scores at chosen leads, drawn from all, without one, and from one alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from probtokens.data.trajectories import TrajectorySet
from probtokens.evaluate.compare import compare
from probtokens.evaluate.leads import CELLS, LEVEL, score_by_simulation
from probtokens.evaluate.summary import Table, reduce_table
from probtokens.models.state_space import ALL_SOURCES, NO_SOURCES, Source, Sources
from probtokens.models.tokens import TokenForecaster

#: Name of the share that intervals of probability ``LEVEL`` cover.
COVERAGE = f"coverage_{100 * LEVEL:g}"
_RESAMPLES = 10_000

#: Name of a score to its values at the chosen leads, ``None`` where it is not defined.
LeadScores = dict[str, list[float | None]]


def score_leads(
    model: TokenForecaster,
    trajectories: TrajectorySet,
    leads: Sequence[int],
    *,
    field: str,
    members: int,
    seed: int,
    sources: Sources = ALL_SOURCES,
    progress: Callable[[int, int], None] | None = None,
) -> LeadScores:
    """Scores of a model's forecasts of whole trajectories, pooled over cells and simulations, at some leads only.

    Parameters
    ----------
    model
        Its fields must be those of ``trajectories``, in the same order.
    leads
        Steps after the first frame, ascending, from 1.
    field
        Name of the field to score.
    members
        Draws; one if there are no sources, for then all would be the same.
    seed
        As in :func:`probtokens.predict.write_rollout`, which draws the same members from the same seed.
    sources
        What the draws differ by.
    progress
        Called as ``progress(done, total)`` after each simulation.

    Returns
    -------
    dict
        By lead: ``rmse`` of the mean and fair ``crps`` [unit of the field], ``spread_skill`` and ``coverage_90`` [1], and the
        unbiased ``variance`` of the members [unit squared], where there are several.

    Raises
    ------
    ValueError
        If there is no such field, the model does not fit the trajectories, or a forecast or a truth is not finite.
    """
    tables = score_by_simulation(model, trajectories, leads, field=field, members=members, seed=seed, sources=sources, progress=progress)
    return pooled(tables[CELLS], members if sources else 1)


def source_rows(model: TokenForecaster) -> dict[str, Sources]:
    """Rows of the ablation of a model's sources of variance, by name: all, each left out, each alone, none."""
    absent = {Source.WEIGHTS: model.weight_prior() is None, Source.VIEW: model.tokens.views == "one"}
    has = frozenset(source for source in ALL_SOURCES if not absent.get(source, False))
    each = [source for source in Source if source in has]
    without = {f"without {source}": has - {source} for source in each}
    alone = {f"{source} alone": frozenset({source}) for source in each}
    return {"all": has, **without, **alone, "none": NO_SOURCES}


def gain(table: Table, reference: Table) -> dict[str, list[float]]:
    """What a row buys over another on the same simulations, of scores (simulation, lead) averaged over leads.

    Returns
    -------
    dict
        ``crps``: the share of the reference's CRPS that is saved. ``miscoverage``: by how much |coverage - nominal| of 90 % intervals
        is less. Each with its 95 % bootstrap interval over simulations. Empty of fewer than two simulations, and without
        ``miscoverage`` where a row is a single member.
    """
    mean, other = table["crps"].mean(axis=1), reference["crps"].mean(axis=1)
    if len(mean) < 2:
        return {}
    found = compare(mean, other)
    gains = {"crps": [found.skill, found.skill_low, found.skill_high]}
    if COVERAGE in table and COVERAGE in reference:
        picked = np.random.default_rng(0).integers(len(mean), size=(_RESAMPLES, len(mean)))
        miss, other_miss = (np.abs(rows[COVERAGE].mean(axis=1)[picked].mean(axis=1) - LEVEL) for rows in (table, reference))
        whole = [abs(float(rows[COVERAGE].mean()) - LEVEL) for rows in (reference, table)]
        gains["miscoverage"] = [whole[0] - whole[1], *np.quantile(other_miss - miss, [0.025, 0.975]).tolist()]
    return gains


def with_variance_shares(rows: Mapping[str, LeadScores]) -> dict[str, LeadScores]:
    """The rows of :func:`source_rows` with ``variance_share``: their variance over that of ``"all"``, by lead.

    In a chain that is linear and Gaussian the shares of the sources alone add up to one, and what is left without a
    source is one less its share. Elsewhere sources act on each other, and the difference says how much.
    """
    total = rows["all"]["variance"]

    def share(row: LeadScores) -> list[Any]:
        pairs = zip(row["variance"], total, strict=True)
        return [None if part is None or not whole else part / whole for part, whole in pairs]

    return {name: {**row, "variance_share": share(row)} for name, row in rows.items()}


def pooled(table: Table, members: int) -> LeadScores:
    """Scores by lead, as :func:`score_leads` has them, of a table (simulation, lead) of that many members."""
    undefined = np.full_like(table["crps"], np.nan)
    wanted = {name: table.get(name, undefined) for name in ("error_square", "crps", "spread_square", COVERAGE)}
    # The spread has a factor for the sampling error of the mean, which a variance has not.
    return reduce_table({**wanted, "variance": wanted["spread_square"] * (members / (members + 1))}, axis=(0,))
