"""What a training stage can minimise: the settings of each objective, and no others."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from probtokens.config.base import Int, NonNegative, Positive, Share, Strict

#: Parameter groups that models declare; see :meth:`probtokens.models.tokens.TokenForecaster.parameter_groups`.
Group = Literal["codec", "dynamics", "noise", "guide", "weights"]

#: Those that forecasts depend on: what only the guide has says nothing of the future.
ForecastGroup = Literal["codec", "dynamics", "noise", "weights"]

_LEARN = "Parameter groups that take gradients; those that a model does not have are left out."

_KL = (
    "Weight of the divergence of global sites from their prior, per token and frame of the training set, beside relative errors and scores."
)
_KL_WEIGHT = 0.0125


class ReconstructionSettings(Strict):
    """Squared error of frames that tokens decode to, drawn as the encoder says, so that what is near them decodes alike."""

    learn: tuple[Literal["codec"]] = ("codec",)


class LatentErrorSettings(Strict):
    """Squared error of rollouts without noise, in tokens that are encoded once: a step costs a fraction of one that decodes."""

    field_weights: dict[str, Positive] = Field(default_factory=dict, description="Weights of squared errors by field; 1 for all others.")
    curriculum: dict[Int, Share] = Field(
        default_factory=dict,
        description="Shorter horizons to begin with, each with its share of the stage's steps; windows are then cut into such pieces.",
    )
    kl_weight: NonNegative = Field(default=_KL_WEIGHT, description=_KL)
    learn: tuple[Literal["dynamics"]] = ("dynamics",)


class RolloutErrorSettings(Strict):
    """Squared error of rollouts without noise, decoded to frames."""

    decoded: Literal["all", "half"] = Field(
        default="all", description="Leads that are decoded and scored: every one, or a random half at each step, which costs less."
    )
    learn: tuple[Literal["codec"], Literal["dynamics"]] = ("codec", "dynamics")


class RolloutScoreSettings(Strict):
    """Proper score of rollouts as forecasts draw them: generalised variational inference, with the divergence of global sites."""

    members: Int = Field(default=3, ge=2, description="Draws of every window.")
    kl_weight: NonNegative = Field(default=_KL_WEIGHT, description=_KL)
    learn: tuple[ForecastGroup, ...] = Field(default=("dynamics", "noise"), description=_LEARN)


class ElboSettings(Strict):
    """Negative evidence lower bound of windows, per token and frame."""

    effective_pixels: Positive = Field(
        default=4.0, description="Independent pixels that a patch counts for in the likelihood: neighbouring pixels err together."
    )
    learn: tuple[Group, ...] = Field(default=("codec", "dynamics", "noise", "guide", "weights"), description=_LEARN)


class InferenceCompilationSettings(Strict):
    """How likely the guide holds the sites of draws from the model itself: it learns the model's posterior, whatever data it is shown."""

    learn: tuple[Literal["guide"]] = ("guide",)
