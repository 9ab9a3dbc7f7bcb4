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

    scale: Literal["micro", "meso"] = "meso"
    members: Annotated[int, Field(ge=2)] = 50
    models: tuple[Literal["tokens", "tokens_zero_coupling", "parc", "persistence", "micro_tokens"], ...] = (
        "tokens",
        "tokens_zero_coupling",
        "parc",
        "persistence",
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

    hotspot_field: str = "temperature"
    hotspot_threshold: Finite = 875.0
    coverage: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(default=(0.5, 0.8, 0.9), min_length=1)
    recalibrate: bool = True

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

    simulation: Whole = 0
    animation: bool = True
    tokens: bool = True
