"""What is forecast, how forecasts are scored and what the report shows of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from probtokens.config.base import Finite, Strict, Whole
from probtokens.fields import HotSpot


class RolloutConfig(Strict):
    """Stage ``rollout``.

    ``scale`` names the simulations that are forecast. At the micro scale ``micro_tokens`` and ``persistence`` forecast
    single pores, and no meso simulations are needed.
    """

    scale: Literal["micro", "meso"] = Field(default="meso", description="Simulations that are forecast.")
    members: Annotated[int, Field(ge=2)] = Field(default=50, description="Draws of probabilistic models.")
    models: tuple[Literal["tokens", "micro_tokens", "parc", "persistence"], ...] = Field(
        default=("tokens", "micro_tokens", "parc", "persistence"),
        description="Models that forecast, micro_tokens as they are; at the micro scale these and persistence alone.",
    )

    @model_validator(mode="after")
    def _models_once(self) -> RolloutConfig:
        if not self.models or len(set(self.models)) < len(self.models):
            raise ValueError(f"models: expected at least one, and every name once, got {list(self.models)}")
        return self


class EvaluateConfig(Strict):
    """Stage ``evaluate``.

    A hot spot is where ``hotspot_field`` exceeds ``hotspot_threshold``, in that field's unit. Models are ranked by this field.
    """

    hotspot_field: str = Field(default="temperature", description="Field whose excess makes a hot spot; models are ranked by it.")
    hotspot_threshold: Finite = Field(default=875.0, description="Value that hot spots exceed, in the field's unit.")
    coverage: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.5, 0.8, 0.9), min_length=1, description="Probabilities of central intervals whose coverage is told."
    )
    recalibrate: bool = Field(default=True, description="Whether spreads are recalibrated on validation forecasts.")

    @model_validator(mode="after")
    def _hot_spots_have_names_of_their_own(self) -> EvaluateConfig:
        _ = self.hotspot
        if len({f"{100 * level:g}" for level in self.coverage}) < len(self.coverage):
            raise ValueError(f"coverage: expected levels that differ to six digits, got {list(self.coverage)}")
        return self

    @property
    def hotspot(self) -> HotSpot:
        """Field and threshold of hot spots."""
        return HotSpot(self.hotspot_field, self.hotspot_threshold)


class ReportConfig(Strict):
    """Stage ``report``.

    ``tokens`` shows what the tokens of the model whose forecast is pictured hold; its trained model must be there.
    """

    simulation: Whole = Field(default=0, description="Number of the test simulation that is pictured.")
    animation: bool = Field(default=True, description="Whether the report has animations.")
    tokens: bool = Field(default=True, description="Whether the report shows what tokens hold.")
