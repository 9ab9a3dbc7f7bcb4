"""The recipe of a benchmark: which models, from how many meso simulations, scored on what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from probtokens.config.base import Count, Finite, Frames, NonNegative, Positive, Strict, Whole
from probtokens.config.training import MesoConfig, MicroConfig, ParcConfig

#: A model and its number of meso simulations, as endpoints name them.
_SIDE = re.compile(r"(.+)-(\d+)")

_PARC = ("parc",)
#: Settings of a recipe that the training of a model depends on, beside its simulations and seed.
_LEARNS_BY = {
    "tokens": ("tokens", "devices", "meso"),
    "twin": ("tokens", "devices", "meso"),
    "micro_tokens": ("tokens",),
    "scratch": ("devices", "scratch"),
    "parc": _PARC,
    "parc_half": _PARC,
    "parc_ensemble": _PARC,
    "parc_literal": _PARC,
    "parc_pretrained": (*_PARC, "fine_tuning_rate"),
    "mld": ("mld",),
}


class MldConfig(Strict):
    """Baseline ``mld``, the predecessor's method; see :mod:`probtokens.baselines.mld`."""

    width: Count = Field(default=16, description="Width of the finest level of all networks; 64 is published.")
    codec: Count = Field(default=3000, description="Steps of the autoencoders, on micro simulations.")
    decoupled: Count = Field(default=600, description="Steps of the networks of single fields, at every horizon from 1 to 5.")
    coupled: Count = Field(default=600, description="The same of the networks of all fields.")
    meso: Count = Field(default=300, description="The same again on meso simulations.")
    learning_rate: Positive = Field(default=1e-3, description="On micro simulations; on meso ones it is a third.")


class CoreHours(Strict):
    """What simulations and trained tokens cost, in hours of one core."""

    micro: NonNegative = Field(description="All micro simulations.")
    tokens: NonNegative = Field(description="Training of the tokens that models begin from.")
    meso: NonNegative = Field(description="One meso simulation.")


class BenchmarkConfig(Strict):
    """Everything that determines the cells of a benchmark, and what they are compared by.

    A cell is MODEL-N-SEED: the seed chooses the N training simulations, nested for one seed, and everything random.
    """

    name: str = Field(default="benchmark", description="Told in results; by default that of the recipe's file.")
    data: Path = Field(description="Folder with meso/ and micro/, each with sub-folders train, valid and test of HDF5 files.")
    tokens: Path = Field(default=Path("hmx-standard"), description="Trained micro tokens that models begin from, a file or a name.")
    split: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")] = Field(
        default="valid",
        description="Simulations that forecasts are scored on: valid or test, or the name of a shifted test set beside meso/.",
    )
    simulations: Count | None = Field(default=None, description="How many of them, the first ones; all by default.")
    draws: Frames = Field(default=16, description="Members of every forecast.")
    leads: tuple[Count, ...] = Field(default=(2, 5, 10, 15, 20, 30, 40), description="Steps after the first frame that are scored.")
    hotspot_field: str = Field(default="temperature", description="Field whose cells and hot spots are scored.")
    hotspot_threshold: Finite = Field(default=875.0, description="Hot spots are the cells above it, in the field's unit.")
    error_quantiles: Frames = Field(
        default=64, description="Members of the distribution of errors that a deterministic model has from validation simulations."
    )
    devices: Count = Field(default=2, description="Processes that share the batches of a training, where its objective allows it.")
    cells: dict[str, dict[Whole, Count]] = Field(
        description="Models, or own ones as module:Class, to numbers of meso simulations to how many seeds, from 0 on."
    )
    endpoints: tuple[tuple[str, str], ...] = Field(
        default=(), description="Pairs such as [tokens-4, parc-16] to compare, written down before test simulations are scored."
    )
    core_hours: CoreHours | None = Field(default=None, description="Costs, with which equivalences are told in core-hours too.")
    meso: MesoConfig = Field(default=MesoConfig(), description="How tokens are adapted.")
    scratch: MicroConfig = Field(default=MicroConfig(), description="How tokens learn from meso simulations alone.")
    parc: ParcConfig = Field(default=ParcConfig(), description="How PARC is trained.")
    mld: MldConfig = Field(default=MldConfig(), description="How the predecessor's method is trained.")
    fine_tuning_rate: NonNegative = Field(
        default=0.25, description="Share of its learning rate by which PARC that knows micro simulations learns from meso ones."
    )

    @model_validator(mode="after")
    def _split_is_not_for_training(self) -> BenchmarkConfig:
        if self.split in ("train", "micro", "meso", "training"):
            raise ValueError(f"split: expected valid, test or the name of a shifted test set, got {self.split!r}")
        return self

    @model_validator(mode="after")
    def _leads_ascend(self) -> BenchmarkConfig:
        if not self.leads or list(self.leads) != sorted(set(self.leads)):
            raise ValueError(f"leads: expected ascending numbers, got {list(self.leads)}")
        return self

    @model_validator(mode="after")
    def _endpoints_are_pairs_of_cells(self) -> BenchmarkConfig:
        for pair in self.endpoints:
            for side in pair:
                model, n = side_of(side)
                if n not in self.cells.get(model, {}):
                    raise ValueError(f"endpoints: expected MODEL-N of some of cells, got {side!r:.80}")
        return self

    def learning(self, model: str) -> dict[str, Any]:
        """Settings that the training of a model depends on, as JSON has them; none of own models."""
        return self.model_dump(mode="json", include=set(_LEARNS_BY.get(model, ())))

    @property
    def names(self) -> tuple[str, ...]:
        """All cells by name."""
        return tuple(
            f"{model}-{n}-{seed}" for model, numbers in self.cells.items() for n, seeds in numbers.items() for seed in range(seeds)
        )


def side_of(text: str) -> tuple[str, int]:
    """Model and number of meso simulations of one side of an endpoint.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> side_of("tokens-4")
    ('tokens', 4)
    """
    if not (found := _SIDE.fullmatch(text)):
        raise ValueError(f"endpoints: expected MODEL-N such as tokens-4, got {text!r:.80}")
    return found[1], int(found[2])
