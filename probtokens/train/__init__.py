"""Training: stages, schedules and the one loop."""

from probtokens.train.loop import fit

__all__ = ["fit"]
