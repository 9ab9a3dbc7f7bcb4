"""Scores of ensembles that are in memory, or not yet computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr

from probtokens.evaluate.summary import score_rollout
from probtokens.fields import HotSpot
from probtokens.predict.lazy import as_rollout
from probtokens.predict.recalibrate import Recalibration


def score(
    ensemble: xr.DataArray | xr.Dataset,
    truth: Any = None,
    *,
    hotspot: HotSpot | None = None,
    coverage: Sequence[float] = (0.5, 0.8, 0.9),
    recalibration: Recalibration | None = None,
) -> dict[str, Any]:
    """Scores of an ensemble against what came about, over leads >= 1.

    Parameters
    ----------
    ensemble
        As :func:`probtokens.rollout` returns it, or a stored rollout, which holds its truth.
    truth
        Trajectories, or frames (simulation, time, field, y, x) in physical units, the first frames included.
    hotspot
        Field and threshold; with it the curves of hot spots are scored as well.
    coverage
        Probabilities of central intervals.
    recalibration
        Factors fitted on validation simulations.

    Returns
    -------
    dict
        As a model's entry in ``scores.json``, see :func:`probtokens.evaluate.write_scores`: ``["fields"][FIELD]`` has ``rmse``, fair
        ``crps``, ``spread_skill``, ``coverage_90`` and others, pooled, ``by_lead`` and ``by_simulation``.

    Raises
    ------
    ValueError
        If the truth is missing or does not fit the ensemble, or a score is not finite.

    Examples
    --------
    >>> from probtokens import rollout
    >>> from probtokens.verify.token_pairs import micro_tokens, window
    >>> frames, context = window()
    >>> ensemble = rollout(micro_tokens(), frames[:, 0], context, steps=3, draws=5)
    >>> sorted(score(ensemble, frames)["fields"]["temperature"])[:4]
    ['by_chance', 'by_lead', 'by_simulation', 'coverage_50']
    """
    if isinstance(ensemble, xr.DataArray) and truth is None:
        raise ValueError("truth: expected trajectories or frames beside an ensemble, got none")
    with as_rollout(ensemble, truth) as rollout:
        return score_rollout(rollout, hotspot=hotspot, coverage_levels=coverage, recalibration=recalibration)
