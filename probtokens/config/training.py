"""What learns, and in which stages: token models of both scales and the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from probtokens.config.base import Count, Finite, NonNegative, Positive, Strict, Whole

#: See :func:`probtokens.train.optimizers.make_optimizer`.
OptimizerName = Literal["adamw", "muon"]


class StageConfig(Strict):
    """One stage of a training schedule.

    ``objective`` names what is minimised: ``elbo`` (negative ELBO of a window of ``horizon`` + 1
    frames), ``score`` (fair CRPS, and ``energy_weight`` times the energy score, of free-running decoded rollouts with ``members``
    draws), ``mse`` (of rollouts without noise), ``latent`` (the same in tokens that are encoded once: the autoencoder
    stays as it is, and a step costs a fraction) or ``noise`` (likelihood of what the means of the decoder and of single steps
    miss). ``learn`` names which parameters take gradients: all that the objective depends on, all but the autoencoder's means
    (``dynamics``), those that tell spread alone (``uncertainty``), so that noiseless rollouts stay as they are, of these only the
    guide's (``posterior``, with ``elbo``), so that all noises stay too, or nothing but how draws are shrunk (``shrinkage``, with
    ``score``, whose members are then each shrunk towards a run of its own, at twice the cost) or the drift at rest (``rest``, with
    ``latent``; token models only). Windows begin no later than with frame ``latest_start``; forecasts begin with the first, where most
    happens. Stages that learn uncertainty see the simulations that are held out for them, or with ``all_simulations`` the others too: a
    few tell where means fail, but not how wide to be on average.

    In score stages decoder noise stays as it is, or learns too with ``decoder_noise``; ``hot_spots`` names fields and thresholds, in
    their units: how much of the domain exceeds one, and by how much, is scored too, ``hot_spot_weight`` times.

    Latent stages encode every trajectory and its mirror image, or with ``shifts`` so many versions of it whose patches begin at
    other cells. ``field_weights`` are those of squared errors, 1 for fields that are not named. ``precision`` is that of the
    convolutions in latent and score stages. ``optimizer`` is ``adamw`` or ``muon``, which takes far fewer steps from a fresh start.
    """

    name: str
    objective: Literal["elbo", "score", "mse", "latent", "noise"]
    steps: Count
    horizon: Whole
    batch_size: Count = 16
    learning_rate: Positive = 1e-3
    members: Count = 3
    energy_weight: NonNegative = 0.1
    decoder_noise: bool = False
    hot_spots: dict[str, Finite] = Field(default_factory=dict)
    hot_spot_weight: Positive = 1.0
    learn: Literal["everything", "dynamics", "uncertainty", "posterior", "shrinkage", "rest"] = "everything"
    latest_start: Whole | None = None
    all_simulations: bool = False
    shifts: Whole = 0
    field_weights: dict[str, Positive] = Field(default_factory=dict)
    precision: Literal["float32", "bfloat16"] = "float32"
    optimizer: OptimizerName = "adamw"

    @model_validator(mode="after")
    def _latent_keys(self) -> StageConfig:
        if self.objective != "latent" and (self.shifts or self.field_weights):
            raise ValueError(f"{self.name}: expected shifts and field_weights with objective latent only, got {self.objective}")
        if self.precision != "float32" and self.objective not in ("latent", "score"):
            raise ValueError(f"{self.name}: expected precision {self.precision} with objective latent or score, got {self.objective}")
        for key in ("members", "energy_weight", "decoder_noise", "hot_spots", "hot_spot_weight"):
            default = type(self).model_fields[key].get_default(call_default_factory=True)
            if self.objective != "score" and getattr(self, key) != default:
                raise ValueError(f"{self.name}: expected {key} with objective score only, got {self.objective}")
        if self.hot_spot_weight != 1 and not self.hot_spots:
            raise ValueError(f"{self.name}: expected hot_spot_weight with hot_spots only, got {self.hot_spot_weight:g}")
        learned = {"mse": "everything", "latent": "everything", "noise": "uncertainty"}.get(self.objective, self.learn)
        if self.learn == "posterior" and self.objective != "elbo":
            raise ValueError(f"{self.name}: expected learn posterior with objective elbo only, got {self.objective}")
        if self.learn == "shrinkage" and self.objective != "score":
            raise ValueError(f"{self.name}: expected learn shrinkage with objective score only, got {self.objective}")
        if self.learn == "rest" and self.objective != "latent":
            raise ValueError(f"{self.name}: expected learn rest with objective latent only, got {self.objective}")
        if self.learn not in (learned, "rest"):
            raise ValueError(f"{self.name}: expected learn {learned} with objective {self.objective}, got {self.learn}")
        if self.all_simulations and not self.learns_uncertainty_alone:
            raise ValueError(f"{self.name}: expected all_simulations with learn uncertainty, posterior or shrinkage only, got {self.learn}")
        return self

    @property
    def learns_uncertainty_alone(self) -> bool:
        """Whether means stay as they are."""
        return self.learn in ("uncertainty", "posterior", "shrinkage")

    def check_fields(self, known: Sequence[str]) -> None:
        """See that all fields that the stage names are known.

        Raises
        ------
        ValueError
            If one is not.
        """
        for key, named in (("field_weights", self.field_weights), ("hot_spots", self.hot_spots)):
            if not named.keys() <= set(known):
                raise ValueError(f"{self.name}: {key}: expected some of {list(known)}, got {sorted(named)}")

    def shared(self, devices: int) -> StageConfig:
        """The stage of one of so many devices, which has its share of every batch.

        Raises
        ------
        ValueError
            If shares are not even.
        """
        if self.batch_size % devices:
            raise ValueError(f"{self.name}: expected a batch_size that {devices} devices can share, got {self.batch_size}")
        return self.model_copy(update={"batch_size": self.batch_size // devices})


class FieldGroupConfig(Strict):
    """Fields that share ``channels`` numbers of each token; ``width`` of their networks, by default the lattice's ``group_width``."""

    fields: tuple[str, ...]
    channels: Count
    width: Count | None = None


class TokenConfig(Strict):
    """Token lattice and the networks on it.

    ``effective_pixels`` is how many independent pixels a patch counts for in the likelihood. ``backbone`` is the
    transition's: ``resnet`` and ``convnext`` have ``transition_blocks`` of them one after the other, ``unet`` at the
    coarsest of ``transition_levels`` halvings of the lattice. ``activation`` is that of ConvNeXt blocks, which
    encoder and decoder are made of. Every ``trajectory_patch`` tokens along an axis have
    a trajectory effect of ``trajectory_dim`` numbers, which scales features of the tokens around and adds to them (``affine``) or
    scales them alone (``scale``), so that quiet cells change less; every ``noise_patch`` tokens ``noise_rank`` numbers of
    process noise are drawn that the tokens around share. ``reference_speed`` [km/s] turns frame step and patch size into
    one dimensionless number. With ``transport`` coupled tokens move with the material where the data have its velocity.
    Every draw of a forecast, and of the scores that train it, has one of the ``views`` of the domain, by chance: ``one`` is the
    domain as it is, ``mirrored`` half of the time its mirror image along y, ``shifted`` either with patches that begin at any cell,
    which suits tokens whose latent stages had ``shifts``. With ``shrinkage`` every draw is moved towards the next where the two nearly
    agree, for views of quiet material differ by more than their mean errs.
    ``rest`` names fields and their values, in their units, by which material is told that nothing has reached yet; what the transition
    would add to it is learned in a stage of its own and taken off.
    Forecasts compute convolutions in ``precision``; tokens and frames are float32 all the same.
    """

    patch: Count = 4
    groups: tuple[FieldGroupConfig, ...] = (
        FieldGroupConfig(fields=("temperature",), channels=4),
        FieldGroupConfig(fields=("pressure",), channels=2),
        FieldGroupConfig(fields=("solid_fraction",), channels=3),
        FieldGroupConfig(fields=("velocity_x", "velocity_y"), channels=2),
    )
    coupled: bool = True
    transport: bool = True
    width: Count = 64
    group_width: Count = 32
    encoder_blocks: Count = 1
    decoder_blocks: Count = 1
    backbone: Literal["resnet", "unet", "convnext"] = "resnet"
    transition_blocks: Count = 4
    transition_levels: Count = 2
    trajectory_dim: Count = 8
    trajectory_patch: Count = 6
    trajectory_effect: Literal["affine", "scale"] = "affine"
    activation: Literal["gelu", "relu"] = "gelu"
    noise_rank: Whole = 0
    noise_patch: Count = 4
    effective_pixels: Positive = 4.0
    views: Literal["one", "mirrored", "shifted"] = "one"
    shrinkage: bool = False
    rest: dict[str, Finite] = Field(default_factory=dict)
    precision: Literal["float32", "bfloat16"] = "float32"
    reference_speed: Positive = 2.901

    @model_validator(mode="after")
    def _fields_once(self) -> TokenConfig:
        names = [name for group in self.groups for name in group.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"groups: expected every field once, got {names}")
        return self

    @model_validator(mode="after")
    def _shrinkage_of_views(self) -> TokenConfig:
        if self.shrinkage and self.views == "one":
            raise ValueError("shrinkage: expected views mirrored or shifted with it, got one")
        return self

    @model_validator(mode="after")
    def _rest_of_whole_groups(self) -> TokenConfig:
        told = [name for group in self.groups if set(group.fields) <= set(self.rest) for name in group.fields]
        if sorted(told) != sorted(self.rest):
            raise ValueError(f"rest: expected all fields of some groups, got {sorted(self.rest)}")
        return self


class TokenTraining(Strict):
    """How token models of either scale are trained.

    More than one of ``devices`` are processes of the CPU, of one thread each, that share every batch.
    """

    stages: tuple[StageConfig, ...]
    weight_decay: NonNegative = 0.0
    devices: Count = 1

    @model_validator(mode="after")
    def _even_shares(self) -> TokenTraining:
        for stage in self.stages:
            stage.shared(self.devices)
        return self


class MicroConfig(TokenTraining):
    """Stage ``train micro``.

    So many training simulations are ``held_out`` of the stages that learn everything, for those that learn uncertainty:
    errors on simulations that the means were trained on are smaller than a forecast's. With 0 all stages see all.
    """

    tokens: TokenConfig = TokenConfig()
    held_out: Whole = 0
    stages: tuple[StageConfig, ...] = (
        StageConfig(name="reconstruction", objective="elbo", steps=25, horizon=0, batch_size=16),
        StageConfig(name="one_step", objective="mse", steps=200, horizon=1, batch_size=12, learning_rate=2e-3, optimizer="muon"),
        StageConfig(name="short_rollout", objective="mse", steps=150, horizon=3, batch_size=8, learning_rate=2e-3, optimizer="muon"),
        StageConfig(name="rollout", objective="mse", steps=350, horizon=8, batch_size=6, learning_rate=2e-3, optimizer="muon"),
        StageConfig(name="long_rollout", objective="mse", steps=150, horizon=16, batch_size=4, optimizer="muon"),
        StageConfig(name="noise", objective="noise", steps=400, horizon=1, batch_size=8, learning_rate=5e-3, learn="uncertainty"),
        StageConfig(name="inference", objective="elbo", steps=50, horizon=2, batch_size=12, learning_rate=2e-3, learn="uncertainty"),
        StageConfig(
            name="spread", objective="score", steps=100, horizon=12, batch_size=4, members=2, learning_rate=1e-3, learn="uncertainty"
        ),
    )
    weight_decay: NonNegative = 1e-4

    @model_validator(mode="after")
    def _held_out_for_something(self) -> MicroConfig:
        if self.held_out and not any(stage.learns_uncertainty_alone for stage in self.stages):
            raise ValueError(
                f"held_out: expected a stage with learn uncertainty, posterior or shrinkage that sees them, or 0, got {self.held_out}"
            )
        return self

    @model_validator(mode="after")
    def _what_is_learned_last(self) -> MicroConfig:
        learned = [stage.learn for stage in self.stages]
        for key, there in (("shrinkage", self.tokens.shrinkage), ("rest", bool(self.tokens.rest))):
            if there != (key in learned):
                raise ValueError(f"stages: expected one with learn {key} if and only if tokens have {key}, got learn {learned}")
        if self.tokens.shrinkage and learned[-1] != "shrinkage":
            raise ValueError(f"stages: expected the one with learn shrinkage last, for other scores do not see it, got learn {learned}")
        return self

    @model_validator(mode="after")
    def _stages_name_its_own_fields(self) -> MicroConfig:
        known = sorted(field for group in self.tokens.groups for field in group.fields)
        for stage in self.stages:
            stage.check_fields(known)
        return self


class MesoConfig(TokenTraining):
    """Stage ``train meso``.

    With ``fine_tune`` the copies of the micro networks go on learning beside adapters and coupling;
    without, they stay as the micro scale left them.
    """

    fine_tune: bool = True
    n_simulations: Whole | None = None
    adapter_rank: Count = 4
    global_scale: Positive = 0.1
    slab_scale: Positive = 1.0
    coupling_width: Count = 16
    guide_rank: Count = 8
    stages: tuple[StageConfig, ...] = (
        StageConfig(name="short_rollout", objective="mse", steps=80, horizon=4, batch_size=3),
        StageConfig(name="rollout", objective="mse", steps=90, horizon=8, batch_size=2),
        StageConfig(name="long_rollout", objective="mse", steps=260, horizon=16, batch_size=2),
        StageConfig(name="coupling", objective="elbo", steps=30, horizon=1, batch_size=3, learning_rate=2e-3, learn="posterior"),
    )


class ParcConfig(Strict):
    """Stage ``train parc``."""

    width: Count = 64
    levels: Count = 2
    integrator: Literal["euler", "heun", "rk4"] = "euler"
    stages: tuple[StageConfig, ...] = (
        StageConfig(name="one_step", objective="mse", steps=400, horizon=1, batch_size=4, learning_rate=2e-3, optimizer="muon"),
        StageConfig(name="short_rollout", objective="mse", steps=400, horizon=3, batch_size=2, learning_rate=2e-3, optimizer="muon"),
        StageConfig(name="rollout", objective="mse", steps=150, horizon=8, batch_size=2, optimizer="muon"),
        StageConfig(name="long_rollout", objective="mse", steps=100, horizon=16, batch_size=2, optimizer="muon"),
    )
    weight_decay: NonNegative = 0.0
