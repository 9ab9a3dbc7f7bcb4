"""What learns, and in which stages: token models of both scales and the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from probtokens.config.base import Count, Finite, Int, NonNegative, Positive, Real, Strict, Whole, Word
from probtokens.config.objectives import (
    ElboSettings,
    InferenceCompilationSettings,
    LatentErrorSettings,
    ReconstructionSettings,
    RolloutErrorSettings,
    RolloutScoreSettings,
)
from probtokens.fields import FieldSpec

Asked = Literal["auto", "float32", "bfloat16"]

_PRECISION = "Precision of convolutions: bfloat16 where the processor computes in it and float32 elsewhere (auto), or one of both."

#: See :func:`probtokens.train.optimizers.make_optimizer`.
OptimizerName = Literal["adamw", "muon"]


class Stage(Strict):
    """What all stages of a training schedule have; each kind adds the settings of its objective."""

    #: Whether the objective takes tokens that were encoded once.
    on_tokens: ClassVar[bool] = False
    #: What the objective asks a model for beside what every Trainable has.
    asks: ClassVar[tuple[str, ...]] = ()
    objective: str
    learn: tuple[str, ...] = ()
    horizon: Int = Field(default=1, ge=1, description="Steps after the first frame of a window, at most those that simulations have.")
    precision: Asked = Field(default="float32", description=_PRECISION)

    name: Word = Field(description="Names the stage's files and what progress tells.")
    steps: Count = Field(description="Optimizer steps.")
    batch_size: Count = Field(default=16, description="Windows of a step.")
    learning_rate: Positive = Field(default=1e-3, le=1e6, description="Highest rate; it warms up, then falls like a cosine.")
    latest_start: Whole | None = Field(default=None, description="Last frame that windows may begin with; forecasts begin with the first.")
    optimizer: OptimizerName = Field(default="adamw", description="muon takes far fewer steps from a fresh start.")

    def check_fields(self, known: Sequence[str]) -> None:
        """See that all fields that the stage names are known; most name none.

        Raises
        ------
        ValueError
            If one is not.
        """

    def within(self, n_times: int) -> Self:
        """The stage for simulations of so many frames, at least 2: none of its windows is longer."""
        return self if self.horizon < n_times else self.model_copy(update=self._cut(n_times - 1))

    def _cut(self, horizon: int) -> dict[str, Any]:
        """What changes with a shorter horizon."""
        return {"horizon": horizon}

    def shared(self, devices: int) -> Self:
        """The stage of one of so many devices, which has its share of every batch.

        Raises
        ------
        ValueError
            If shares are not even.
        """
        if self.batch_size % devices:
            raise ValueError(f"{self.name}: expected a batch_size that {devices} devices can share, got {self.batch_size}")
        return self.model_copy(update={"batch_size": self.batch_size // devices})


class ReconstructionStage(ReconstructionSettings, Stage):
    """Stage with objective ``reconstruction``; the codec learns, with patches that begin at any cell."""

    objective: Literal["reconstruction"] = "reconstruction"
    precision: Literal["float32"] = "float32"
    horizon: Literal[0] = 0


class LatentErrorStage(LatentErrorSettings, Stage):
    """Stage with objective ``latent_error``; the dynamics learn."""

    objective: Literal["latent_error"] = "latent_error"
    on_tokens: ClassVar[bool] = True
    asks: ClassVar[tuple[str, ...]] = ("encode",)
    shifts: Whole = Field(
        default=0,
        description="Versions of every trajectory, whose patches begin at other cells; with 0 the trajectory and its mirror image.",
    )

    def check_fields(self, known: Sequence[str]) -> None:
        """See that all fields with weights are known; raises a ``ValueError`` otherwise."""
        if not set(self.field_weights) <= set(known):
            raise ValueError(f"{self.name}: field_weights: expected some of {list(known)}, got {sorted(self.field_weights)}")

    def _cut(self, horizon: int) -> dict[str, Any]:
        """What changes with a shorter horizon: shorter ones to begin with have to divide it."""
        return {"horizon": horizon, "curriculum": {first: share for first, share in self.curriculum.items() if horizon % first == 0}}

    @model_validator(mode="after")
    def _windows_can_be_cut(self) -> Self:
        wrong = [horizon for horizon in self.curriculum if horizon < 1 or self.horizon % horizon]
        if wrong or sum(self.curriculum.values()) > 1:
            raise ValueError(
                f"{self.name}: expected a curriculum of divisors of the horizon of {self.horizon}, with shares of 1 together at most, got "
                f"{self.curriculum}"
            )
        return self


class RolloutErrorStage(RolloutErrorSettings, Stage):
    """Stage with objective ``rollout_error``; codec and dynamics learn."""

    objective: Literal["rollout_error"] = "rollout_error"
    precision: Literal["float32"] = "float32"


class RolloutScoreStage(RolloutScoreSettings, Stage):
    """Stage with objective ``rollout_score``."""

    asks: ClassVar[tuple[str, ...]] = ("model", "guide")
    objective: Literal["rollout_score"] = "rollout_score"


class ElboStage(ElboSettings, Stage):
    """Stage with objective ``elbo``."""

    asks: ClassVar[tuple[str, ...]] = ("model", "guide")
    objective: Literal["elbo"] = "elbo"
    precision: Literal["float32"] = "float32"


class InferenceCompilationStage(InferenceCompilationSettings, Stage):
    """Stage with objective ``inference_compilation``; first frames and contexts are those of windows."""

    asks: ClassVar[tuple[str, ...]] = ("model", "guide")
    objective: Literal["inference_compilation"] = "inference_compilation"
    precision: Literal["float32"] = "float32"


StageConfig = Annotated[
    ReconstructionStage | LatentErrorStage | RolloutErrorStage | RolloutScoreStage | ElboStage | InferenceCompilationStage,
    Field(discriminator="objective"),
]


class FieldGroupConfig(Strict):
    """Fields that share ``channels`` numbers of each token."""

    fields: tuple[str, ...] = Field(description="Names of the fields.")
    channels: Count = Field(description="Numbers of a token.")
    width: Count | None = Field(default=None, description="Width of encoder and decoder; group_width by default.")


#: Numbers of a token for the groups of fields that the built-in simulator has, and for others.
_CHANNELS = {"temperature": 4, "pressure": 2, "solid_fraction": 3, "vector velocity": 2}
_OTHER_CHANNELS = 4


class TokenConfig(Strict):
    """Token lattice and the networks on it."""

    patch: Count = Field(default=4, description="Cells along each edge of a patch, which one token stands for.")
    groups: tuple[FieldGroupConfig, ...] = Field(
        default=(),
        description="Field groups; every field is in one of them. By default each field is a group, and so are the components of a vector.",
    )
    coupled: bool = Field(default=True, description="Whether one transition sees all field groups; else each evolves alone.")
    width: Count = Field(default=64, description="Width of the transition.")
    transition_blocks: Count = Field(default=4, description="Residual blocks of the transition.")
    group_width: Count = Field(default=32, description="Width of encoders and decoders.")
    encoder_blocks: Count = Field(default=1, description="ConvNeXt blocks of every encoder.")
    decoder_blocks: Count = Field(default=1, description="ConvNeXt blocks of every decoder.")
    trajectory_dim: Count = Field(default=8, description="Directions of a trajectory effect.")
    trajectory_patch: Count = Field(default=6, description="Tokens along each edge of the region that shares an effect.")
    views: Literal["one", "mirrored", "shifted"] = Field(
        default="one",
        description="Views that draws have of the domain: as it is, mirrored along y half of the time, or also with patches that begin at "
        "any cell, which suits latent stages with shifts.",
    )
    rest: dict[str, Finite] = Field(
        default_factory=dict,
        description="Fields and their values, in their units, where no wave has come; they stay so until one can have come.",
    )
    wave_speed: Positive = Field(
        default=8.0,
        description="Speed [km/s; of a grid without dimensions in its unit] that no wave exceeds; what rests beyond its reach stays so.",
    )
    precision: Asked = Field(default="float32", description="As that of stages, in forecasts.")
    reference_speed: Positive = Field(default=2.901, description="Speed [km/s] that makes frame step over patch size a number.")

    @model_validator(mode="after")
    def _fields_once(self) -> TokenConfig:
        names = [name for group in self.groups for name in group.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"groups: expected every field once, got {names}")
        return self

    @model_validator(mode="after")
    def _rest_of_whole_groups(self) -> TokenConfig:
        if self.groups:
            self._require_rest(self.groups)
        return self

    def _require_rest(self, groups: Sequence[FieldGroupConfig]) -> None:
        told = [name for group in groups if set(group.fields) <= set(self.rest) for name in group.fields]
        if sorted(told) != sorted(self.rest):
            raise ValueError(f"rest: expected all fields of some groups, got {sorted(self.rest)}")

    def of(self, fields: Sequence[FieldSpec]) -> Self:
        """The same with groups for these fields: its own, or one of each field and of the components of each vector.

        Raises
        ------
        ValueError
            If its groups have not exactly these fields, or ``rest`` has some of a group alone.
        """
        together: dict[str, list[str]] = {}
        for spec in fields:
            together.setdefault(f"vector {spec.vector}" if spec.vector else spec.name, []).append(spec.name)
        groups = self.groups or tuple(
            FieldGroupConfig(fields=tuple(names), channels=_CHANNELS.get(key, _OTHER_CHANNELS)) for key, names in together.items()
        )
        names = [name for group in groups for name in group.fields]
        if sorted(names) != sorted(spec.name for spec in fields):
            raise ValueError(f"groups: expected every field of {[spec.name for spec in fields]} once, got {names}")
        self._require_rest(groups)
        return self.model_copy(update={"groups": groups})


class TokenTraining(Strict):
    """How token models of either scale are trained."""

    stages: tuple[StageConfig, ...] = Field(description="Schedule.")
    weight_decay: NonNegative = Field(default=0.0, description="Weight decay of AdamW, per step and learning rate.")
    devices: Count = Field(default=1, description="More than one are processes of the CPU, of one thread each, that share every batch.")

    @model_validator(mode="after")
    def _names_once(self) -> TokenTraining:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages: expected every name once, got {names}")
        return self

    @model_validator(mode="after")
    def _even_shares(self) -> TokenTraining:
        for stage in self.stages:
            stage.shared(self.devices)
        return self


class MicroConfig(TokenTraining):
    """Stage ``train micro``."""

    tokens: TokenConfig = Field(default=TokenConfig(), description="Token lattice and networks.")
    stages: tuple[StageConfig, ...] = Field(
        default=(
            ReconstructionStage(name="reconstruction", steps=200, learning_rate=2e-3, optimizer="muon"),
            RolloutErrorStage(name="one_step", steps=200, horizon=1, decoded="half", batch_size=12, learning_rate=2e-3, optimizer="muon"),
            RolloutErrorStage(
                name="short_rollout", steps=150, horizon=3, decoded="half", batch_size=8, learning_rate=2e-3, optimizer="muon"
            ),
            RolloutErrorStage(name="rollout", steps=350, horizon=8, decoded="half", batch_size=6, learning_rate=2e-3, optimizer="muon"),
            RolloutErrorStage(name="long_rollout", steps=150, horizon=16, decoded="half", batch_size=4, optimizer="muon"),
            RolloutScoreStage(name="noise", steps=200, horizon=12, batch_size=4, members=2, learning_rate=4e-3, learn=("noise",)),
            InferenceCompilationStage(name="guide", steps=100, horizon=4, batch_size=8, learning_rate=2e-3),
        ),
        description="Schedule.",
    )
    weight_decay: NonNegative = Field(default=1e-4, description="Weight decay of AdamW, per step and learning rate.")


class MesoConfig(TokenTraining):
    """Stage ``train meso``."""

    n_simulations: Whole | None = Field(default=None, description="Training simulations, the first of the seed's order; all by default.")
    prior_scale: Annotated[Real, Field(ge=1e-6, le=10)] = Field(
        default=0.0075, description="Median τ0 of the relative change that the prior gives the numbers of a kernel or bias, 1e-6 to 10."
    )
    replay: Whole = Field(
        default=32,
        description="Micro simulations, at most, whose windows stages on tokens see beside meso ones, so that what is known stays known.",
    )
    guide_rank: Count = Field(default=8, description="Rank of the weight posterior's covariance beside its diagonal.")
    stages: tuple[StageConfig, ...] = Field(
        default=(
            LatentErrorStage(name="means", steps=400, horizon=10, batch_size=4, learning_rate=1e-2, shifts=2, precision="auto"),
            RolloutScoreStage(
                name="spread", steps=60, horizon=12, batch_size=2, learning_rate=8e-2, learn=("noise", "weights"), precision="auto"
            ),
        ),
        description="Schedule.",
    )


class ParcConfig(Strict):
    """Stage ``train parc``."""

    width: Count = Field(default=64, description="Width of the U-Net at its finest level.")
    levels: Count = Field(default=2, description="Halvings of the U-Net.")
    integrator: Literal["euler", "heun", "rk4"] = Field(default="euler", description="Numerical integrator of a frame.")
    stages: tuple[RolloutErrorStage, ...] = Field(
        default=(
            RolloutErrorStage(name="one_step", steps=400, horizon=1, batch_size=4, learning_rate=2e-3, optimizer="muon"),
            RolloutErrorStage(name="short_rollout", steps=400, horizon=3, batch_size=2, learning_rate=2e-3, optimizer="muon"),
            RolloutErrorStage(name="rollout", steps=150, horizon=8, batch_size=2, optimizer="muon"),
            RolloutErrorStage(name="long_rollout", steps=100, horizon=16, batch_size=2, optimizer="muon"),
        ),
        description="Schedule.",
    )
    weight_decay: NonNegative = Field(default=0.0, description="Weight decay of AdamW, per step and learning rate.")
