"""What a training stage can minimise: the settings of each objective, and no others."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from probtokens.config.base import Finite, NonNegative, Positive, Strict

#: Parameter groups that models declare; see :meth:`probtokens.models.tokens.TokenForecaster.parameter_groups`.
Group = Literal["codec", "dynamics", "noise", "guide", "weights"]

#: Those that forecasts depend on: what only the guide has says nothing of the future.
ForecastGroup = Literal["codec", "dynamics", "noise", "weights"]

#: Groups that decide where means lie. Stages that learn none of them may see simulations that are held out.
MEANS = frozenset({"codec", "dynamics"})

_EFFECTIVE_PIXELS = "Independent pixels that a patch counts for in the likelihood: neighbouring pixels err together."
_LEARN = "Parameter groups that take gradients; those that a model does not have are left out."


class ReconstructionSettings(Strict):
    """Squared error of frames that tokens decode to, drawn as the encoder says, so that what is near them decodes alike."""

    learn: tuple[Literal["codec"]] = ("codec",)


class LatentErrorSettings(Strict):
    """Squared error of rollouts without noise, in tokens that are encoded once: a step costs a fraction of one that decodes."""

    field_weights: dict[str, Positive] = Field(default_factory=dict, description="Weights of squared errors by field; 1 for all others.")
    learn: tuple[Literal["dynamics"]] = ("dynamics",)


class RolloutErrorSettings(Strict):
    """Squared error of rollouts without noise, decoded to frames."""

    decoded: Literal["all", "half"] = Field(
        default="all", description="Leads that are decoded and scored: every one, or a random half at each step, which costs less."
    )
    learn: tuple[Literal["codec"], Literal["dynamics"]] = ("codec", "dynamics")


class RolloutScoreSettings(Strict):
    """Proper score of rollouts as forecasts draw them: generalised variational inference, with the divergence of global sites."""

    members: int = Field(default=3, ge=2, description="Draws of every window.")
    energy_weight: NonNegative = Field(default=0.1, description="Weight of the energy score of whole fields beside the CRPS.")
    decoder_noise: bool = Field(default=False, description="Whether decoder noise learns from the score; else likelihoods alone teach it.")
    hot_spots: dict[str, Finite] = Field(
        default_factory=dict,
        description="Fields and thresholds, in their units: the share of the domain that exceeds one, and by how much, is scored too.",
    )
    hot_spot_weight: Positive = Field(default=1.0, description="Weight of the hot spots' score.")
    kl_weight: NonNegative = Field(
        default=1.0, description="Weight of the divergence of global sites from their prior, per frame of the training set."
    )
    learn: tuple[ForecastGroup, ...] = Field(default=("dynamics", "noise"), description=_LEARN)

    @model_validator(mode="after")
    def _hot_spots_that_are_weighted(self) -> RolloutScoreSettings:
        if self.hot_spot_weight != 1.0 and not self.hot_spots:
            raise ValueError(f"expected hot_spot_weight with hot_spots only, got {self.hot_spot_weight:g}")
        return self


class ElboSettings(Strict):
    """Negative evidence lower bound of windows, per token and frame."""

    effective_pixels: Positive = Field(default=4.0, description=_EFFECTIVE_PIXELS)
    learn: tuple[Group, ...] = Field(default=("codec", "dynamics", "noise", "guide", "weights"), description=_LEARN)


class NoiseLikelihoodSettings(Strict):
    """Likelihood of what the means of the decoder and of single steps miss; noises learn, means stay."""

    effective_pixels: Positive = Field(default=4.0, description=_EFFECTIVE_PIXELS)
    learn: tuple[Literal["noise"]] = ("noise",)


class RestSettings(Strict):
    """Absolute error of single steps where material is at rest; what is taken off its drift learns."""

    learn: tuple[Literal["rest"]] = ("rest",)
