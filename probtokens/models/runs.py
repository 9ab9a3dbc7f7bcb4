"""Runs of a forecast: every draw is one of them, or the mean of several that see the domain in views of their own.

Views of a domain differ by more than their mean errs, and no learned noise can make them differ less. Half of their variance, that
of means of two, leaves room for noise that is learned.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from probtokens.models.state_space import Weights
from probtokens.models.views import Mirror, Views


@dataclass(frozen=True)
class Runs:
    """What the runs of a forecast keep over all its leads.

    Attributes
    ----------
    per_draw
        Runs that each draw is the mean of.
    views
        How runs see their domain, (draw · run, simulation); ``None`` where all see it as it is.
    effects
        Trajectory effects (draw · run, simulation, D, effect_y, effect_x) as the views have them, the same for all runs of a draw.
    """

    per_draw: int
    views: Views | None
    effects: Tensor

    @classmethod
    def of_draws(cls, per_draw: int, views: Views | None, effects: Tensor) -> Runs:
        """Runs of draws whose trajectory effects are (draw, simulation, D, effect_y, effect_x)."""
        each = effects.repeat_interleave(per_draw, dim=0)
        return cls(per_draw, views, each if views is None else views.effects(each))

    def weights(self, weights: Weights) -> Weights:
        """Weights for every run from those of every draw, (draw, ...), or from those of all, (1, ...)."""
        return {name: value if len(value) == 1 else value.repeat_interleave(self.per_draw, dim=0) for name, value in weights.items()}

    def seen(self, frames: Tensor, mirror: Mirror) -> Tensor:
        """Frames (simulation, field, y, x) as every run sees them, (draw · run, ...), or as they are if all see them so."""
        return frames if self.views is None else self.views.seen(frames, mirror)

    def means(self, frames: Tensor, mirror: Mirror) -> Tensor:
        """Draws (draw, simulation, field, y, x) of what the runs make of them, (draw · run, ...) in their views."""
        turned = frames if self.views is None else self.views.back(frames, mirror)
        return turned if self.per_draw == 1 else turned.unflatten(0, (-1, self.per_draw)).mean(1)
