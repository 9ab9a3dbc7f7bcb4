"""Strict configuration models: the only home of defaults.

A recipe is a YAML file with any subset of these keys. ``load_config`` reads it, applies
``--set a.b=c`` overrides and returns a validated, frozen :class:`Config`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from probtokens.fields import HotSpot

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Frames = Annotated[int, Field(ge=2)]
Whole = Annotated[int, Field(ge=0)]
PoreKind = Literal["ellipse", "v", "crack", "cluster"]


class _OnceLoader(yaml.SafeLoader):
    """YAML whose mappings have every key once; the parser would take the last of several."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True) if key_node.tag != "tag:yaml.org,2002:merge" else None
            if key is not None and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} twice in one mapping", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class Strict(BaseModel):
    """Base of all sections: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(Strict):
    """Closed range ``low..high`` of a uniformly drawn quantity."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.low > self.high:
            raise ValueError(f"expected low <= high, got {self.low} > {self.high}")
        return self


def _physical(pressure: Interval) -> Interval:
    if not 0.0 < pressure.low <= pressure.high <= 100.0:
        raise ValueError(f"expected 0 < low <= high <= 100 GPa, got {pressure.low}..{pressure.high}")
    return pressure


#: At 100 GPa solid HMX is beyond any detonation; a larger number is in another unit.
ShockPressure = Annotated[Interval, AfterValidator(_physical)]


class ImageConfig(Strict):
    """Grey image (PNG, PGM or npy) of a section. Lengths in µm.

    Pixels darker (``pores: dark``) or brighter (``bright``) than ``threshold``, a fraction of the full
    range or Otsu's, are voids. Voids whose area is less than that of a disc of ``least_diameter`` are noise and filled.
    ``random_orientation`` turns the image by quarter turns and mirrors it: only for textures without direction.
    With ``separate_splits`` training, validation and test simulations come from parts of the image of their own.
    """

    path: Path
    pixel_size: Positive
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["otsu"] = "otsu"
    pores: Literal["dark", "bright"] = "dark"
    least_diameter: NonNegative = 0.0
    random_orientation: bool = False
    separate_splits: bool = True


class MicrostructureConfig(Strict):
    """Random pores. Lengths in µm.

    ``n_pores`` of them are drawn, or with ``porosity`` (area fraction of voids) as many as come
    nearest to a target from that range. ``diameter`` is that of a disc of about the area of an
    ellipse; a crack is 1.6 times as long, the arms of a V once. It is uniform, or log-normal with ``diameter_median`` (by
    default the geometric centre of the range) and standard deviation ``diameter_log_sd`` of its
    logarithm, both before it is truncated to the range. Kinds are drawn with ``kind_weights``, 1 where none is given.

    With ``image`` random pieces of it take the place of drawn pores; ``porosity`` is then the range that a piece must be in.
    """

    kinds: Annotated[tuple[PoreKind, ...], Field(min_length=1)] = ("ellipse", "v", "crack", "cluster")
    kind_weights: dict[PoreKind, Positive] | None = None
    diameter: Interval = Interval(low=0.3, high=0.8)
    diameter_distribution: Literal["uniform", "log_normal"] = "uniform"
    diameter_median: Positive | None = None
    diameter_log_sd: Positive = 0.4
    n_pores: tuple[Count, Count] = (1, 1)
    porosity: Interval | None = None
    margin: NonNegative = 0.25
    gap: NonNegative = 0.15
    image: ImageConfig | None = None

    @model_validator(mode="after")
    def _ranges(self) -> MicrostructureConfig:
        if self.n_pores[0] > self.n_pores[1]:
            raise ValueError(f"n_pores: expected low <= high, got {self.n_pores[0]} > {self.n_pores[1]}")
        if self.diameter.low <= 0.0:
            raise ValueError(f"diameter: expected low > 0, got {self.diameter.low}")
        if self.porosity is not None and not 0.0 < self.porosity.low <= self.porosity.high < 1.0:
            raise ValueError(f"porosity: expected a range inside 0..1, got {self.porosity.low}..{self.porosity.high}")
        median = self.diameter_median
        if median is not None and not self.diameter.low <= median <= self.diameter.high:
            raise ValueError(f"diameter_median: expected it in diameter {self.diameter.low}..{self.diameter.high}, got {median}")
        return self

    @model_validator(mode="after")
    def _keys_fit_together(self) -> MicrostructureConfig:
        if unknown := sorted(set(self.kind_weights or ()) - set(self.kinds)):
            raise ValueError(f"kind_weights: expected kinds among {list(self.kinds)}, got {unknown}")
        if self.diameter_distribution == "uniform" and self._changed("diameter_median", "diameter_log_sd"):
            raise ValueError("diameter_median, diameter_log_sd: expected diameter_distribution log_normal with them, got uniform")
        if self.porosity is not None and self._changed("n_pores"):
            raise ValueError("expected one of n_pores and porosity, got both")
        drawn = ("kinds", "kind_weights", "diameter", "diameter_distribution", "diameter_median", "diameter_log_sd", "n_pores", "gap")
        if self.image is not None and (changed := self._changed(*drawn)):
            raise ValueError(f"image: expected no settings of drawn pores beside it, got {changed}")
        return self

    def _changed(self, *keys: str) -> list[str]:
        """Keys that have another value than their default: a saved recipe names them all."""
        return [key for key in keys if getattr(self, key) != type(self).model_fields[key].default]


class CampaignConfig(Strict):
    """A set of simulations with one grid. Lengths in µm, times in ns, pressures in GPa."""

    ny: Count = 48
    nx: Count = 72
    spacing: Positive = 0.04
    time_step: Positive = 0.125
    n_times: Frames = 25
    shock_pressure: ShockPressure = Interval(low=8.0, high=14.0)
    microstructure: MicrostructureConfig = MicrostructureConfig()
    n_train: Whole = 48
    n_valid: Whole = 4
    n_test: Whole = 4
    shard_size: Count = 16

    @model_validator(mode="after")
    def _not_empty(self) -> CampaignConfig:
        if self.n_train + self.n_valid + self.n_test == 0:
            raise ValueError("expected at least one simulation in n_train, n_valid and n_test, got none")
        return self


class ShiftConfig(Strict):
    """A test set that differs from the meso campaign in the keys that are given."""

    n_test: Count
    ny: Count | None = None
    nx: Count | None = None
    n_times: Frames | None = None
    shock_pressure: ShockPressure | None = None
    microstructure: MicrostructureConfig | None = None

    def applied_to(self, meso: CampaignConfig) -> CampaignConfig:
        """The meso campaign with these changes, test simulations only."""
        given = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        return meso.model_copy(update={**given, "n_train": 0, "n_valid": 0})


class PhysicsConfig(Strict):
    """Reactive-flow model shared by all campaigns; docs/simulator.md describes the choices.

    ``viscosity`` is the melt's in Pa·s; explicit steps shrink with it, hence its limit. ``frame`` is that
    in which shocked material rests (``piston``) or undisturbed material does (``laboratory``). The edge
    that the shock runs to is ``far`` (the crystal goes on), ``open`` or a ``wall``; the two edges along
    its way are ``wall`` or ``periodic``.
    """

    eos: Literal["menikoff_sewell", "lasl"] = "menikoff_sewell"
    kinetics: Literal["tarver", "arrhenius", "none"] = "tarver"
    viscosity: Annotated[float, Field(ge=0, le=10)] = 0.1
    frame: Literal["piston", "laboratory"] = "piston"
    right: Literal["far", "open", "wall"] = "far"
    lateral: Literal["wall", "periodic"] = "wall"
    kapila: bool = True
    cfl: Annotated[float, Field(gt=0, le=0.9)] = 0.4
    dtype: Literal["float32", "float64"] = "float32"
    compile: bool = True

    @model_validator(mode="after")
    def _wall_ahead_rests(self) -> PhysicsConfig:
        if self.right == "wall" and self.frame == "piston":
            raise ValueError("right: expected far or open with frame piston, got wall, from which the moving crystal would tear off")
        return self


class ClusterConfig(Strict):
    """Shards as jobs of a cluster; ``probtokens simulate --submitit`` sets ``submit``.

    ``local`` runs them as processes of this machine, all at once, and ``debug`` one after the other
    in this process: to try a recipe out. ``max_parallel`` jobs of a SLURM array run at once.
    """

    submit: bool = False
    executor: Literal["slurm", "local", "debug"] = "slurm"
    partition: str | None = None
    account: str | None = None
    timeout_min: Count = 240
    cpus: Count = 4
    gpus: Whole = 0
    memory_gb: Positive | None = None
    max_parallel: Count = 32


class SimulateConfig(Strict):
    """Stage ``simulate``.

    ``jobs`` processes of this machine compute shards at once, by default one for every two cores.
    Neither it nor ``cluster`` changes what is simulated. ``shifts`` are further test sets by name.
    """

    jobs: Count | None = None
    cluster: ClusterConfig = ClusterConfig()
    physics: PhysicsConfig = PhysicsConfig()
    micro: CampaignConfig = CampaignConfig()
    meso: CampaignConfig = CampaignConfig(
        ny=96,
        nx=144,
        n_train=6,
        n_valid=3,
        n_test=6,
        shard_size=3,
        microstructure=MicrostructureConfig(n_pores=(8, 12)),
    )
    shifts: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")], ShiftConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_free(self) -> SimulateConfig:
        if taken := {"micro", "meso"} & set(self.shifts):
            raise ValueError(f"shifts: expected names other than micro and meso, got {sorted(taken)}")
        return self

    @property
    def campaigns(self) -> dict[str, CampaignConfig]:
        """Every campaign by name: micro, meso and the shifted test sets."""
        shifted = {name: shift.applied_to(self.meso) for name, shift in self.shifts.items()}
        return {"micro": self.micro, "meso": self.meso, **shifted}


class DataConfig(Strict):
    """Where the trajectories are and which fields the models see.

    ``micro`` and ``meso`` name folders with ``train/``, ``valid/`` and ``test/`` sub-folders of HDF5
    files in The Well's layout. Left empty, the run's own ``simulate`` stage makes them.
    """

    micro: Path | None = None
    meso: Path | None = None
    fields: tuple[str, ...] = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")
    context: tuple[str, ...] = ("shock_pressure",)


class StageConfig(Strict):
    """One stage of a training schedule.

    ``objective`` names what is minimised: ``elbo`` (negative ELBO of a window of ``horizon`` + 1
    frames), ``score`` (fair CRPS and energy score of free-running decoded rollouts with ``members``
    draws), ``mse`` (of rollouts without noise), ``latent`` (the same in tokens that are encoded once: the autoencoder
    stays as it is, and a step costs a fraction) or ``noise`` (likelihood of what the means of the decoder and of single steps
    miss). ``learn`` names which parameters take gradients: all that the objective depends on, all but the autoencoder's means, or
    those that tell spread alone, so that noiseless rollouts stay as they are (the last two for token models only). Windows begin no
    later than with frame ``latest_start``; forecasts begin with the first, where most happens.

    Latent stages encode every trajectory and its mirror image, or with ``shifts`` so many versions of it whose patches begin at
    other cells. ``precision`` is that of their convolutions. ``optimizer`` is ``adamw`` or ``muon``, which takes far fewer steps from a
    fresh start.
    """

    name: str
    objective: Literal["elbo", "score", "mse", "latent", "noise"]
    steps: Count
    horizon: Whole
    batch_size: Count = 16
    learning_rate: Positive = 1e-3
    members: Count = 3
    learn: Literal["everything", "dynamics", "uncertainty"] = "everything"
    latest_start: Whole | None = None
    shifts: Whole = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    optimizer: Literal["adamw", "muon"] = "adamw"

    @model_validator(mode="after")
    def _latent_keys(self) -> StageConfig:
        if self.objective != "latent" and (self.shifts or self.precision != "float32"):
            raise ValueError(f"{self.name}: expected shifts and precision with objective latent only, got {self.objective}")
        learned = {"mse": "everything", "latent": "everything", "noise": "uncertainty"}.get(self.objective, self.learn)
        if self.learn != learned:
            raise ValueError(f"{self.name}: expected learn {learned} with objective {self.objective}, got {self.learn}")
        return self


class FieldGroupConfig(Strict):
    """Fields that share ``channels`` numbers of each token; ``width`` of their networks, by default the lattice's ``group_width``."""

    fields: tuple[str, ...]
    channels: Count
    width: Count | None = None


class TokenConfig(Strict):
    """Token lattice and the networks on it.

    ``effective_pixels`` is how many independent pixels a patch counts for in the likelihood. ``backbone`` is the
    transition's: ``resnet`` and ``convnext`` have ``transition_blocks`` of them one after the other, ``unet`` at the
    coarsest of ``transition_levels`` halvings of the lattice. Every ``trajectory_patch`` tokens along an axis have
    a trajectory effect of ``trajectory_dim`` numbers. ``reference_speed`` [km/s] turns frame step and patch size into
    one dimensionless number. With ``transport`` coupled tokens move with the material where the data have its velocity.
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
    effective_pixels: Positive = 4.0
    precision: Literal["float32", "bfloat16"] = "float32"
    reference_speed: Positive = 2.901

    @model_validator(mode="after")
    def _fields_once(self) -> TokenConfig:
        names = [name for group in self.groups for name in group.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"groups: expected every field once, got {names}")
        return self


class MicroConfig(Strict):
    """Stage ``train micro``.

    So many training simulations are ``held_out`` of the stages that learn everything, for those that learn uncertainty:
    errors on simulations that the means were trained on are smaller than a forecast's. With 0 all stages see all.
    """

    tokens: TokenConfig = TokenConfig()
    held_out: Whole = 0
    stages: tuple[StageConfig, ...] = (
        StageConfig(name="reconstruction", objective="elbo", steps=25, horizon=0, batch_size=16),
        StageConfig(name="one_step", objective="mse", steps=200, horizon=1, batch_size=12, learning_rate=2e-3),
        StageConfig(name="short_rollout", objective="mse", steps=150, horizon=3, batch_size=8, learning_rate=2e-3),
        StageConfig(name="rollout", objective="mse", steps=350, horizon=8, batch_size=6, learning_rate=2e-3),
        StageConfig(name="long_rollout", objective="mse", steps=150, horizon=16, batch_size=4),
        StageConfig(name="inference", objective="elbo", steps=50, horizon=2, batch_size=12, learning_rate=2e-3, learn="uncertainty"),
        StageConfig(
            name="spread", objective="score", steps=80, horizon=12, batch_size=4, members=2, learning_rate=2e-3, learn="uncertainty"
        ),
    )
    weight_decay: NonNegative = 1e-4

    @model_validator(mode="after")
    def _held_out_for_something(self) -> MicroConfig:
        if self.held_out and not any(stage.learn == "uncertainty" for stage in self.stages):
            raise ValueError(f"held_out: expected a stage with learn uncertainty that sees them, or 0, got {self.held_out}")
        return self


class MesoConfig(Strict):
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
        StageConfig(name="long_rollout", objective="mse", steps=160, horizon=16, batch_size=2),
        StageConfig(name="coupling", objective="elbo", steps=30, horizon=1, batch_size=3, learning_rate=2e-3, learn="uncertainty"),
        StageConfig(
            name="spread", objective="score", steps=60, horizon=12, batch_size=2, members=2, learning_rate=2e-3, learn="uncertainty"
        ),
    )
    weight_decay: NonNegative = 0.0


class ParcConfig(Strict):
    """Stage ``train parc``."""

    width: Count = 64
    levels: Count = 2
    integrator: Literal["euler", "heun", "rk4"] = "euler"
    stages: tuple[StageConfig, ...] = (
        StageConfig(name="one_step", objective="mse", steps=400, horizon=1, batch_size=4, learning_rate=2e-3),
        StageConfig(name="short_rollout", objective="mse", steps=400, horizon=3, batch_size=2, learning_rate=2e-3),
        StageConfig(name="rollout", objective="mse", steps=150, horizon=8, batch_size=2),
        StageConfig(name="long_rollout", objective="mse", steps=100, horizon=16, batch_size=2),
    )
    weight_decay: NonNegative = 0.0


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


class EvaluateConfig(Strict):
    """Stage ``evaluate``.

    A hot spot is where ``hotspot_field`` exceeds ``hotspot_threshold``, in that field's unit. Models are ranked by this field.
    """

    hotspot_field: str = "temperature"
    hotspot_threshold: Annotated[float, Field(allow_inf_nan=False)] = 875.0
    coverage: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.8, 0.9)
    recalibrate: bool = True

    @model_validator(mode="after")
    def _hot_spots_have_names_of_their_own(self) -> EvaluateConfig:
        _ = self.hotspot
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
        """Scales whose simulations are needed: tokens learn from micro ones, whatever is forecast."""
        return ("micro",) if self.rollout.scale == "micro" else ("micro", "meso")

    @model_validator(mode="after")
    def _token_fields_are_loaded(self) -> Config:
        known = set(self.data.fields)
        used = {name for group in self.micro.tokens.groups for name in group.fields}
        if used != known:
            raise ValueError(f"micro.tokens.groups: expected exactly the fields of data.fields {sorted(known)}, got {sorted(used)}")
        return self

    @model_validator(mode="after")
    def _hot_spots_are_of_a_loaded_field(self) -> Config:
        if self.evaluate.hotspot_field not in self.data.fields:
            raise ValueError(
                f"evaluate.hotspot_field: expected one of data.fields {list(self.data.fields)}, got {self.evaluate.hotspot_field!r}"
            )
        return self


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe, apply ``a.b=c`` overrides (values parsed as YAML) and validate.

    Raises
    ------
    ValueError
        If the file is missing or not a mapping, an override has no ``=``, a key is unknown or a
        value does not fit; the message names the file, the key, what was expected and what came.
    """
    source = str(path) if path is not None else "overrides"
    raw = _read_yaml(path) if path is not None else {}
    for override in overrides:
        _apply_override(raw, override)
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        if path is not None and overrides:
            source = f"{source} with {' '.join(f'--set {override}' for override in overrides)}"
        raise ValueError(f"{source}: " + "; ".join(map(_describe, error.errors()))) from None


def dump_config(config: Config) -> str:
    """Resolved configuration as YAML that ``load_config`` reads back unchanged."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _describe(error: ErrorDetails) -> str:
    """One validation error: the key, what was expected and what came; for an unknown key the known ones nearby."""
    loc = [str(part) for part in error["loc"]]
    key = ".".join(loc) or "config"
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg']} (got {error['input']!r})"
    section: Any = Config
    for part in loc[:-1]:
        field = section.model_fields.get(part) if isinstance(section, type) and issubclass(section, BaseModel) else None
        section = _without_none(field.annotation) if field is not None else None
    known = sorted(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []
    close = difflib.get_close_matches(loc[-1], known, n=1, cutoff=0.75)
    hint = f"; did you mean {close[0]!r}?" if close else f", expected one of {known}" if known else ""
    return f"{key}: no such key (got {error['input']!r}){hint}"


def _without_none(annotation: Any) -> Any:
    """Type of an optional section."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 else annotation


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: expected a recipe file, found none")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        raise ValueError(f"{where}: expected YAML, got {getattr(error, 'problem', None) or str(error).splitlines()[0]}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: expected a mapping at top level, got {type(raw).__name__}")
    return raw


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise ValueError(f"override {override!r}: expected KEY.SUBKEY=VALUE")
    *parents, leaf = key.split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ValueError(f"override {override!r}: {parent!r} is not a section")
    node[leaf] = yaml.safe_load(value)
