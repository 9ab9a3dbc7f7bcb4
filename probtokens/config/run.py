"""The configuration of a whole run, whose sections have to fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, model_validator

from probtokens.config.base import Count, NonNegative, Positive, Seed, Strict
from probtokens.config.forecast import OWN_MODELS, EvaluateConfig, ReportConfig, RolloutConfig
from probtokens.config.simulation import SimulateConfig
from probtokens.config.training import MesoConfig, MicroConfig, ParcConfig
from probtokens.fields import STEP_RTOL, Grid


class DataConfig(Strict):
    """Where the trajectories are and which fields the models see.

    ``micro`` and ``meso`` name folders with ``train/``, ``valid/`` and ``test/`` sub-folders of HDF5
    files in The Well's layout. Left empty, the run's own ``simulate`` stage makes them.
    ``micro_tokens`` names a file of trained micro tokens or, where there is no such file, those that come with the package
    (``hmx-standard``). They are used as they are; ``micro`` sections have no effect.
    ``meso_cell_width`` and ``meso_steps_per_frame`` declare meso data whose cells or frame step are other than micro's, by whole ratios.
    ``symmetry`` names what the physics does not tell apart: with ``mirror_y`` models learn from mirror images along y too, with an empty
    list from none, as gravity along y asks for. ``odd`` gives the axes along which a mirror image changes a field's sign, where the files
    do not tell it by their tensor order, e.g. ``{Vy: y, vorticity: xy}``.
    """

    micro: Path | None = Field(
        default=None,
        description="Folder of given micro simulations, with sub-folders train, valid and test; the run simulates its own by default.",
    )
    meso: Path | None = Field(default=None, description="The same for meso simulations.")
    meso_cell_width: Positive = Field(
        default=1.0, description="Width of a meso cell in micro cells: a whole number, or one over it where meso cells are finer."
    )
    meso_steps_per_frame: Count = Field(default=1, description="Micro frame steps from one meso frame to the next.")
    micro_tokens: Path | None = Field(
        default=None, description="Trained micro tokens, a file or a name such as hmx-standard, in place of training some."
    )
    fields: tuple[str, ...] = Field(
        default=("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y"),
        description="Fields that models see, in this order.",
    )
    context: tuple[str, ...] = Field(default=("shock_pressure",), description="Known scalars of every simulation.")
    symmetry: tuple[Literal["mirror_y"], ...] = Field(
        default=("mirror_y",), description="What the physics does not tell apart; with an empty list nothing is learned from mirror images."
    )
    odd: dict[str, Literal["", "x", "y", "xy"]] = Field(
        default_factory=dict, description="Axes along which a mirror image changes a field's sign, where the file does not tell."
    )

    frame_cache: NonNegative = Field(
        default=0.5, description="Memory [GiB] for frames that have been read, of each set of simulations; with 0 all are read again."
    )

    def meso_grid(self, micro: Grid) -> Grid:
        """Cells and frame step of meso data beside micro's, as declared; the domain and time of ``micro``."""
        return micro.scaled(self.meso_cell_width, self.meso_steps_per_frame)

    @property
    def mirrored(self) -> bool:
        """Whether mirror images along y are as good as what they are of."""
        return "mirror_y" in self.symmetry

    @model_validator(mode="after")
    def _cells_fit_into_each_other(self) -> DataConfig:
        larger = max(self.meso_cell_width, 1.0 / self.meso_cell_width)
        if abs(larger - round(larger)) > STEP_RTOL * larger:
            raise ValueError(f"meso_cell_width: expected a whole number of micro cells or one over it, got {self.meso_cell_width:g}")
        return self

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

    name: str = Field(default="run", description="Name of the run, told in scores and report; by default that of the recipe's file.")
    seed: Seed = Field(default=0, description="What everything random in the run follows from.")
    simulate: SimulateConfig = Field(default=SimulateConfig(), description="Simulations.")
    data: DataConfig = Field(default=DataConfig(), description="Given data, fields and context.")
    micro: MicroConfig = Field(default=MicroConfig(), description="Training of micro tokens.")
    meso: MesoConfig = Field(default=MesoConfig(), description="How tokens are adapted to meso simulations.")
    parc: ParcConfig = Field(default=ParcConfig(), description="Training of the PARC baseline.")
    rollout: RolloutConfig = Field(default=RolloutConfig(), description="Forecasts.")
    evaluate: EvaluateConfig = Field(default=EvaluateConfig(), description="Scores.")
    report: ReportConfig = Field(default=ReportConfig(), description="Report.")

    @model_validator(mode="after")
    def _models_are_of_the_scale(self, info: ValidationInfo) -> Config:
        if not _used(info, "rollout"):
            return self
        fit = {"micro": {"micro_tokens", "persistence"}, "meso": {"tokens", "micro_tokens", "parc", "persistence"}}[self.rollout.scale]
        if unfit := sorted(set(self.rollout.models) & set(OWN_MODELS) - fit):
            raise ValueError(
                f"rollout.models: expected own models or some of {sorted(fit)} with rollout.scale {self.rollout.scale}, got {unfit}"
            )
        if "parc" in self.rollout.models and self.meso.n_simulations == 0:
            raise ValueError("rollout.models: expected models with something to learn from, got 'parc' with meso.n_simulations 0")
        return self

    @property
    def scales(self) -> tuple[Literal["micro", "meso"], ...]:
        """Scales whose simulations are needed: tokens learn from micro ones, whatever is forecast, and see some beside meso ones."""
        if self.rollout.scale == "micro":
            return ("micro",)
        return ("micro", "meso") if self.data.micro_tokens is None or self.replays else ("meso",)

    @property
    def replays(self) -> bool:
        """Whether meso tokens see micro simulations while they learn."""
        learns = self.rollout.scale == "meso" and self.meso.n_simulations != 0
        return learns and self.meso.replay > 0 and any(stage.on_tokens for stage in self.meso.stages)

    @model_validator(mode="after")
    def _token_fields_are_loaded(self, info: ValidationInfo) -> Config:
        known = set(self.data.fields)
        used = {name for group in self.micro.tokens.groups for name in group.fields}
        if _used(info, "micro") and used and used != known and self.data.micro_tokens is None:
            raise ValueError(f"micro.tokens.groups: expected exactly the fields of data.fields {sorted(known)}, got {sorted(used)}")
        return self

    @model_validator(mode="after")
    def _stages_name_loaded_fields(self, info: ValidationInfo) -> Config:
        for stage in (stage for section in ("micro", "meso") if _used(info, section) for stage in getattr(self, section).stages):
            stage.check_fields(self.data.fields)
        return self

    @model_validator(mode="after")
    def _views_are_symmetries(self, info: ValidationInfo) -> Config:
        if _used(info, "micro") and self.data.micro_tokens is None and self.micro.tokens.views != "one" and not self.data.mirrored:
            raise ValueError(
                f"micro.tokens.views: expected 'one' without mirror_y in data.symmetry, got {self.micro.tokens.views!r}, "
                "whose draws see mirror images"
            )
        return self

    @model_validator(mode="after")
    def _hot_spots_are_of_a_loaded_field(self, info: ValidationInfo) -> Config:
        if _used(info, "evaluate") and self.evaluate.hotspot_field not in self.data.fields:
            raise ValueError(
                f"evaluate.hotspot_field: expected one of data.fields {list(self.data.fields)}, and its hotspot_threshold, "
                f"got {self.evaluate.hotspot_field!r}"
            )
        own_field = self.evaluate.hotspot_field != EvaluateConfig().hotspot_field
        if _used(info, "evaluate") and own_field and "hotspot_threshold" not in self.evaluate.model_fields_set:
            raise ValueError(
                f"evaluate.hotspot_threshold: expected a value that hot spots of {self.evaluate.hotspot_field!r} exceed, got none"
            )
        return self


def _used(info: ValidationInfo, section: str) -> bool:
    """Whether a section is asked to fit the others: all are, unless :func:`probtokens.config.load_config` is told which are used."""
    return info.context is None or section in info.context["uses"]
