"""The work of each stage. What takes long to import is imported where it is used."""

from probtokens.pipeline.work.evaluate import evaluate, report
from probtokens.pipeline.work.forecast import rollout
from probtokens.pipeline.work.simulations import check_data, forecast_splits, reusable_simulations, simulate
from probtokens.pipeline.work.training import take_micro, train_meso, train_micro, train_parc

__all__ = [
    "check_data",
    "evaluate",
    "forecast_splits",
    "report",
    "reusable_simulations",
    "rollout",
    "simulate",
    "take_micro",
    "train_meso",
    "train_micro",
    "train_parc",
]
