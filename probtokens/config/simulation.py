"""What is simulated, with which physics and on which machines."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from probtokens.config.base import Count, Frames, Int, Interval, Positive, Real, Strict, Whole, Word
from probtokens.config.microstructure import MicrostructureConfig

#: At this pressure [GPa] solid HMX is beyond any detonation; a larger number is in another unit.
MOST_PRESSURE = 100.0


def require_pressure(pressures: Iterable[float]) -> None:
    """Refuse shock pressures [GPa] that are not positive or beyond ``MOST_PRESSURE``.

    Raises
    ------
    ValueError
        With the first of them.
    """
    for pressure in pressures:
        if not 0.0 < pressure < math.inf:
            raise ValueError(f"shock_pressure: expected positive numbers of GPa, got {pressure:g}")
        if pressure > MOST_PRESSURE:
            raise ValueError(f"shock_pressure: expected at most {MOST_PRESSURE:g} GPa, got {pressure:g}; are they in Pa, or in MPa?")


def _physical(pressure: Interval) -> Interval:
    if not 0.0 < pressure.low <= pressure.high <= MOST_PRESSURE:
        raise ValueError(f"expected 0 < low <= high <= {MOST_PRESSURE:g} GPa, got {pressure.low}..{pressure.high}")
    return pressure


ShockPressure = Annotated[Interval, AfterValidator(_physical)]

#: Each has a seed of its own, which are drawn before anything runs.
Simulations = Annotated[Int, Field(ge=0, le=1_000_000)]


class CampaignConfig(Strict):
    """A set of simulations with one grid. Lengths in µm, times in ns, pressures in GPa."""

    ny: Count = Field(default=48, description="Cells along y.")
    nx: Count = Field(default=72, description="Cells along x, the way of the shock.")
    spacing: Positive = Field(default=0.04, description="Cell edge [µm].")
    time_step: Positive = Field(default=0.125, description="Time between stored frames [ns].")
    n_times: Frames = Field(default=25, description="Stored frames, the initial one included.")
    shock_pressure: ShockPressure = Field(default=Interval(low=8.0, high=14.0), description="Range of the pressure behind the shock [GPa].")
    microstructure: MicrostructureConfig = Field(default=MicrostructureConfig(), description="Pores.")
    n_train: Simulations = Field(default=48, description="Training simulations.")
    n_valid: Simulations = Field(default=4, description="Validation simulations.")
    n_test: Simulations = Field(default=4, description="Test simulations.")
    shard_size: Count = Field(default=16, description="Simulations in a file.")


class ShiftConfig(Strict):
    """A test set that differs from the meso campaign in the keys that are given."""

    n_test: Count = Field(description="Test simulations.")
    ny: Count | None = Field(default=None, description="Cells along y, if others.")
    nx: Count | None = Field(default=None, description="Cells along x, if others.")
    n_times: Frames | None = Field(default=None, description="Frames, if others.")
    shock_pressure: ShockPressure | None = Field(default=None, description="Range of pressures [GPa], if another.")
    microstructure: MicrostructureConfig | None = Field(default=None, description="Pores, if others.")

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

    eos: Literal["menikoff_sewell", "lasl"] = Field(default="menikoff_sewell", description="Equation of state of solid HMX.")
    kinetics: Literal["tarver", "arrhenius", "none"] = Field(default="tarver", description="Reaction rates.")
    viscosity: Annotated[Real, Field(ge=0, le=10)] = Field(
        default=0.1, description="Viscosity of the melt [Pa·s]; explicit steps shrink with it."
    )
    frame: Literal["piston", "laboratory"] = Field(
        default="piston", description="Frame in which shocked material rests (piston) or undisturbed material does (laboratory)."
    )
    right: Literal["far", "open", "wall"] = Field(
        default="far", description="Edge that the shock runs to: the crystal goes on (far), open, or a wall."
    )
    lateral: Literal["wall", "periodic"] = Field(default="wall", description="Edges along the shock's way.")
    kapila: bool = Field(default=True, description="Whether volume fractions follow Kapila's term.")
    cfl: Annotated[Real, Field(gt=0, le=0.9)] = Field(default=0.4, description="Courant number.")
    dtype: Literal["float32", "float64"] = Field(default="float32", description="Precision of the solver.")
    compile: bool = Field(default=True, description="Whether kernels are compiled with a C++ compiler if there is one.")

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

    submit: bool = Field(default=False, description="Whether every file is a job of a cluster.")
    executor: Literal["slurm", "local", "debug"] = Field(
        default="slurm", description="SLURM, or jobs as processes of this machine (local) or in this one (debug)."
    )
    partition: Word | None = Field(default=None, description="Partition of SLURM.")
    account: Word | None = Field(default=None, description="Account of SLURM.")
    timeout_min: Count = Field(default=240, description="Time limit of a job [min].")
    cpus: Count = Field(default=4, description="Cores of a job.")
    gpus: Whole = Field(default=0, description="GPUs of a job.")
    memory_gb: Positive | None = Field(default=None, description="Memory of a job [GB]; the cluster's default if not set.")
    max_parallel: Count = Field(default=32, description="Jobs of an array at once.")


class SimulateConfig(Strict):
    """Stage ``simulate``.

    ``jobs`` processes of this machine compute shards at once, by default one for every two cores.
    Neither it nor ``cluster`` changes what is simulated. ``shifts`` are further test sets by name.
    """

    jobs: Annotated[Int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Processes that compute files at once; one for every two cores by default."
    )
    cluster: ClusterConfig = Field(default=ClusterConfig(), description="Files as jobs of a cluster.")
    physics: PhysicsConfig = Field(default=PhysicsConfig(), description="Physics of all campaigns.")
    micro: CampaignConfig = Field(default=CampaignConfig(), description="Simulations of single pores.")
    meso: CampaignConfig = Field(
        default=CampaignConfig(
            ny=96,
            nx=144,
            n_train=6,
            n_valid=3,
            n_test=6,
            shard_size=3,
            microstructure=MicrostructureConfig(n_pores=(8, 12)),
        ),
        description="Simulations of many pores.",
    )
    shifts: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")], ShiftConfig] = Field(
        default_factory=dict, description="Further test sets by name, which differ from the meso campaign."
    )

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
