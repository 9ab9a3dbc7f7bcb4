"""What is forecast, how forecasts are scored and what the report shows of them."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from probtokens.config.base import MOST, Finite, Int, Real, Strict, Whole
from probtokens.fields import HotSpot

#: Models of the package, by the names that recipes have for them.
OWN_MODELS = ("tokens", "micro_tokens", "parc", "persistence")

#: Entry points of distributions that bring forecasters.
ENTRY_POINTS = "probtokens.forecasters"

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@cache
def installed_models() -> dict[str, str]:
    """Forecasters that other distributions bring, as ``module:Class`` by their names."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def target_of(entry: str) -> str:
    """``module:Class`` of an entry of ``rollout.models`` that is not of the package."""
    return installed_models().get(entry, entry)


def _known(entry: str) -> str:
    if entry in OWN_MODELS or entry in installed_models() or _TARGET.fullmatch(entry):
        return entry
    raise ValueError(f"expected one of {[*OWN_MODELS, *installed_models()]}, or module:Class of your own, got {entry!r:.80}")


class RolloutConfig(Strict):
    """Stage ``rollout``.

    ``scale`` names the simulations that are forecast. At the micro scale ``micro_tokens`` and ``persistence`` forecast
    single pores, and no meso simulations are needed.
    """

    scale: Literal["micro", "meso"] = Field(default="meso", description="Simulations that are forecast.")
    members: Annotated[Int, Field(ge=2, le=MOST)] = Field(default=50, description="Draws of probabilistic models.")
    models: tuple[Annotated[str, AfterValidator(_known)], ...] = Field(
        default=OWN_MODELS,
        description="Models that forecast: tokens, micro_tokens as they are, parc, persistence, own ones as module:Class or entry point. "
        "The micro scale has neither tokens nor parc.",
    )

    @model_validator(mode="after")
    def _models_once(self) -> RolloutConfig:
        if not self.models or len(self.names) < len(self.models):
            raise ValueError(f"models: expected at least one, and every name once, got {list(self.models)}")
        return self

    @property
    def names(self) -> dict[str, str]:
        """Models by the names under which they are stored and scored: an own class is called by its own name."""
        return {entry.rpartition(":")[2]: entry for entry in self.models}


class EvaluateConfig(Strict):
    """Stage ``evaluate``.

    A hot spot is where ``hotspot_field`` exceeds ``hotspot_threshold``, in that field's unit. Models are ranked by this field.
    """

    hotspot_field: str = Field(default="temperature", description="Field whose excess makes a hot spot; models are ranked by it.")
    hotspot_threshold: Finite = Field(
        default=875.0, description="Value that hot spots exceed, in the field's unit; fields other than temperature have no default."
    )
    coverage: tuple[Annotated[Real, Field(gt=0, lt=1)], ...] = Field(
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
