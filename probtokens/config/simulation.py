"""What is simulated, with which physics and on which machines."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from probtokens.config.base import Count, Frames, Interval, Positive, Strict, Whole, Word
from probtokens.config.microstructure import MicrostructureConfig


def _physical(pressure: Interval) -> Interval:
    if not 0.0 < pressure.low <= pressure.high <= 100.0:
        raise ValueError(f"expected 0 < low <= high <= 100 GPa, got {pressure.low}..{pressure.high}")
    return pressure


#: At 100 GPa solid HMX is beyond any detonation; a larger number is in another unit.
ShockPressure = Annotated[Interval, AfterValidator(_physical)]

#: Each has a seed of its own, which are drawn before anything runs.
Simulations = Annotated[int, Field(ge=0, le=1_000_000)]


class CampaignConfig(Strict):
    """A set of simulations with one grid. Lengths in µm, times in ns, pressures in GPa."""

    ny: Count = 48
    nx: Count = 72
    spacing: Positive = 0.04
    time_step: Positive = 0.125
    n_times: Frames = 25
    shock_pressure: ShockPressure = Interval(low=8.0, high=14.0)
    microstructure: MicrostructureConfig = MicrostructureConfig()
    n_train: Simulations = 48
    n_valid: Simulations = 4
    n_test: Simulations = 4
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
    partition: Word | None = None
    account: Word | None = None
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
