"""Scores that are made up, in the layout of ``scores.json``, without any rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probtokens.fields import HotSpot

TIMES = [0.5, 1.0, 1.5, 2.0]
LEVELS = (50, 80, 90)
_PHYSICS = {
    "hotspot_count": "1",
    "hotspot_size": "µm²",
    "largest_hotspot": "µm²",
    "front": "µm",
    "front_rate": "µm/ns",
    "area_rate": "µm²/ns",
}


def quantity(crps: float = 10.0, ratio: float | None = 1.0, coverage: float | None = 0.9, n_simulations: int = 8) -> dict[str, Any]:
    """Scores of one field: the same at all leads and simulations; without a ratio those of a deterministic model."""
    shares = {f"coverage_{level}": None if coverage is None else coverage - (90 - level) / 100 for level in LEVELS}
    scores: dict[str, Any] = {"rmse": 2 * crps, "crps": crps, "spread_skill": ratio, **shares}
    names = [f"meso_{number:03d}" for number in range(n_simulations)]
    wide = {"spread_skill": (0.7, 1.4)} | {f"coverage_{level}": (level / 100 - 0.08, level / 100 + 0.08) for level in LEVELS}
    chance = {key: {"lower": [low] * len(TIMES), "upper": [high] * len(TIMES)} for key, (low, high) in wide.items()}
    return {
        **scores,
        "by_lead": {"time": TIMES, **{key: [value] * len(TIMES) for key, value in scores.items()}},
        "by_simulation": {"simulation": names, **{key: [value] * n_simulations for key, value in scores.items()}},
        "by_chance": None if ratio is None else {"time": TIMES, **chance},
    }


def curve(crps: float = 10.0, ratio: float | None = 1.0, coverage: float | None = 0.9, n_simulations: int = 8) -> dict[str, Any]:
    """The same of a curve, with its values."""
    scores, rng = quantity(crps, ratio, coverage, n_simulations), np.random.default_rng(0)
    truth = np.cumsum(rng.uniform(size=(n_simulations, len(TIMES))), axis=1)
    values = {"truth": truth, "mean": truth + 0.1, "median": truth + 0.1}
    if ratio is not None:
        values |= {f"{side}_{level}": truth + sign * level / 300 for level in LEVELS for side, sign in (("lower", -1), ("upper", 1))}
    lists = {name: array.tolist() for name, array in values.items()}
    return {**scores, "curves": {"simulation": scores["by_simulation"]["simulation"], "time": TIMES, **lists}}


def document(
    fields: Mapping[str, str], hotspot: HotSpot, models: Sequence[str] = ("tokens", "persistence"), n_simulations: int = 8, **scores: Any
) -> dict[str, Any]:
    """Content of a ``scores.json``; ensembles are the models whose name has tokens, and persistence has ten times their CRPS.

    Parameters
    ----------
    scores
        Arguments of :func:`quantity` for ensembles.
    """
    curves = {"area": "µm²", hotspot.field: fields[hotspot.field], **_PHYSICS}
    entries = {}
    for model in models:
        ensemble = "tokens" in model
        own = {"n_simulations": n_simulations} | (scores if ensemble else {"crps": 100.0, "ratio": None, "coverage": None})
        entries[model] = {
            "n_meso": 4,
            "members": 16 if ensemble else 1,
            "fields": {name: quantity(**own) for name in fields},
            "hotspot": {name: curve(**own) for name in curves},
        }
    return {
        "schema": 2,
        "members": 16,
        "n_test": n_simulations,
        "hotspot": {"field": hotspot.field, "threshold": hotspot.threshold},
        "units": {"fields": dict(fields), "hotspot": curves, "time": "ns"},
        "models": entries,
        "provenance": {},
    }
