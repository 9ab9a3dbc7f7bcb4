"""The configuration of a whole run, whose sections have to fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

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
    ``symmetry`` names what the physics does not tell apart: with ``mirror_y`` models learn from mirror images along y too, with an empty
    list from none, as gravity along y asks for. ``odd`` gives the axes along which a mirror image changes a field's sign, where the files
    do not tell it by their tensor order, e.g. ``{Vy: y, vorticity: xy}``.
    """

    micro: Path | None = None
    meso: Path | None = None
    micro_tokens: Path | None = None
    fields: tuple[str, ...] = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")
    context: tuple[str, ...] = ("shock_pressure",)
    symmetry: tuple[Literal["mirror_y"], ...] = ("mirror_y",)
    odd: dict[str, Literal["", "x", "y", "xy"]] = Field(default_factory=dict)

    @property
    def mirrored(self) -> bool:
        """Whether mirror images along y are as good as what they are of."""
        return "mirror_y" in self.symmetry

    @model_validator(mode="after")
    def _names_once(self) -> DataConfig:
        for key, names in (("fields", self.fields), ("context", self.context), ("symmetry", self.symmetry)):
            if len(set(names)) < len(names):
                raise ValueError(f"{key}: expected every name once, got {list(names)}")
        if not self.fields:
            raise ValueError("fields: expected at least one, got none")
        if unknown := sorted(set(self.odd) - set(self.fields)):
            raise ValueError(f"odd: expected some of fields {list(self.fields)}, got {unknown}")
        return self


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
    def _views_are_symmetries(self) -> Config:
        if self.data.micro_tokens is None and self.micro.tokens.views != "one" and not self.data.mirrored:
            raise ValueError(
                f"micro.tokens.views: expected 'one' without mirror_y in data.symmetry, got {self.micro.tokens.views!r}, "
                "whose draws see mirror images"
            )
        return self

    @model_validator(mode="after")
    def _hot_spots_are_of_a_loaded_field(self) -> Config:
        if self.evaluate.hotspot_field not in self.data.fields:
            raise ValueError(
                f"evaluate.hotspot_field: expected one of data.fields {list(self.data.fields)}, got {self.evaluate.hotspot_field!r}"
            )
        return self
