"""Training: stages, schedules and the one loop."""

from probtokens.train.fitting import History, fit
from probtokens.train.loop import DivergedError, Trained, train_stages

__all__ = ["DivergedError", "History", "Trained", "fit", "train_stages"]
