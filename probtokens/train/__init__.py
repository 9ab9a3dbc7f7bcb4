"""Training: stages, schedules and the one loop."""

from probtokens.train.fitting import History, fit
from probtokens.train.loop import Trained, train_stages

__all__ = ["History", "Trained", "fit", "train_stages"]
