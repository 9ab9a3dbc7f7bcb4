"""The configuration of a whole run, whose sections have to fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from probtokens.config.base import Strict, Whole
from probtokens.config.forecast import EvaluateConfig, ReportConfig, RolloutConfig
from probtokens.config.simulation import SimulateConfig
from probtokens.config.training import MesoConfig, MicroConfig, ParcConfig


class DataConfig(Strict):
    """Where the trajectories are and which fields the models see.

    ``micro`` and ``meso`` name folders with ``train/``, ``valid/`` and ``test/`` sub-folders of HDF5
    files in The Well's layout. Left empty, the run's own ``simulate`` stage makes them.
    ``micro_tokens`` names a file of trained micro tokens or, where there is no such file, those that come with the package
    (``hmx-standard``). They are used as they are; ``micro`` sections have no effect.
    """

    micro: Path | None = None
    meso: Path | None = None
    micro_tokens: Path | None = None
    fields: tuple[str, ...] = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")
    context: tuple[str, ...] = ("shock_pressure",)


class Config(Strict):
    """Everything that determines a run. Written resolved to ``config.yaml`` in the run folder."""

    name: str = "quick"
    seed: Whole = 0
    simulate: SimulateConfig = SimulateConfig()
    data: DataConfig = DataConfig()
    micro: MicroConfig = MicroConfig()
    meso: MesoConfig = MesoConfig()
    parc: ParcConfig = ParcConfig()
    rollout: RolloutConfig = RolloutConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    report: ReportConfig = ReportConfig()

    @model_validator(mode="after")
    def _models_are_of_the_scale(self) -> Config:
        fit = {"micro": {"micro_tokens", "persistence"}, "meso": {"tokens", "tokens_zero_coupling", "parc", "persistence"}}[
            self.rollout.scale
        ]
        if unfit := sorted(set(self.rollout.models) - fit):
            raise ValueError(f"rollout.models: expected some of {sorted(fit)} with rollout.scale {self.rollout.scale}, got {unfit}")
        return self

    @property
    def scales(self) -> tuple[Literal["micro", "meso"], ...]:
        """Scales whose simulations are needed: tokens learn from micro ones, whatever is forecast, unless they are given."""
        if self.rollout.scale == "micro":
            return ("micro",)
        return ("micro", "meso") if self.data.micro_tokens is None else ("meso",)

    @model_validator(mode="after")
    def _token_fields_are_loaded(self) -> Config:
        known = set(self.data.fields)
        used = {name for group in self.micro.tokens.groups for name in group.fields}
        if used != known and self.data.micro_tokens is None:
            raise ValueError(f"micro.tokens.groups: expected exactly the fields of data.fields {sorted(known)}, got {sorted(used)}")
        return self

    @model_validator(mode="after")
    def _stages_name_loaded_fields(self) -> Config:
        for stage in self.meso.stages:
            stage.check_fields(self.data.fields)
        return self

    @model_validator(mode="after")
    def _hot_spots_are_of_a_loaded_field(self) -> Config:
        if self.evaluate.hotspot_field not in self.data.fields:
            raise ValueError(
                f"evaluate.hotspot_field: expected one of data.fields {list(self.data.fields)}, got {self.evaluate.hotspot_field!r}"
            )
        return self
