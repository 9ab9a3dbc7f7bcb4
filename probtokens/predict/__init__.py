"""Rollouts: written once for every model, recalibrated on validation simulations, read lazily."""

from probtokens.predict.recalibrate import Recalibration, fit_recalibration, load_recalibration
from probtokens.predict.rollout import write_rollout
from probtokens.predict.store import open_rollout, rollout_fields, rollout_grid

__all__ = [
    "Recalibration",
    "fit_recalibration",
    "load_recalibration",
    "open_rollout",
    "rollout_fields",
    "rollout_grid",
    "write_rollout",
]
