"""Read what the earlier stages left in a run folder."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from probtokens.config import Config, load_config
from probtokens.evaluate import load_scores
from probtokens.fields import FieldSpec, HotSpot, field_index
from probtokens.json_text import read_json
from probtokens.paths import inside
from probtokens.predict import Recalibration, load_recalibration, open_rollout, rollout_fields

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A finished run: configuration, scores, stage records and lazily opened rollouts.

    Attributes
    ----------
    folder
        The run folder.
    config
        Resolved configuration.
    scores
        Content of ``scores.json``.
    records
        Record of each finished stage, in the order in which the stages ended.
    rollouts
        Test rollout of each scored model that has one, in the order of the scores.
    recalibrations
        Spread factors of the recalibrated ensembles.
    """

    folder: Path
    config: Config
    scores: dict[str, Any]
    records: dict[str, dict[str, Any]]
    rollouts: dict[str, xr.Dataset]
    recalibrations: dict[str, Recalibration]

    @cached_property
    def primary(self) -> str:
        """Model whose forecast is pictured: the first ensemble, or the first model if there is none."""
        return next((name for name, data in self.rollouts.items() if data.sizes["draw"] > 1), next(iter(self.rollouts)))

    @cached_property
    def rival(self) -> str | None:
        """Model shown beside it: PARC where it was run, else the micro tokens as they are, if the first is another."""
        return next((name for name in ("parc", "micro_tokens") if name in self.rollouts and name != self.primary), None)

    @property
    def hotspot(self) -> HotSpot:
        """Field and threshold of the scored hot spots; the field is the one that is pictured first."""
        return HotSpot(**self.scores["hotspot"])

    @cached_property
    def fields(self) -> tuple[FieldSpec, ...]:
        """All fields, in file order."""
        return rollout_fields(self.rollouts[self.primary])

    @property
    def forecast_fields(self) -> tuple[FieldSpec, ...]:
        """Those that are forecast, and have scores."""
        return tuple(spec for spec in self.fields if not spec.constant)

    def field(self, name: str) -> FieldSpec:
        """The field called ``name``.

        Raises
        ------
        ValueError
            If the run has none of that name.
        """
        return self.fields[field_index(self.fields, name)]

    def model_file(self, training: str) -> Path:
        """File of the model that a training, ``micro`` or ``meso``, ended with."""
        return self.folder / "checkpoints" / training / "model.pt"

    @property
    def n_simulations(self) -> int:
        """Number of test simulations."""
        return int(self.rollouts[self.primary].sizes["simulation"])

    @property
    def simulation(self) -> int:
        """Position of the test simulation chosen for the pictures.

        Raises
        ------
        ValueError
            If the configured one does not exist.
        """
        chosen = self.config.report.simulation
        if chosen >= self.n_simulations:
            raise ValueError(f"report.simulation: expected 0..{self.n_simulations - 1}, got {chosen}")
        return chosen

    @cached_property
    def cases(self) -> dict[str, int]:
        """Positions of the best, median and worst test simulation by CRPS of the hot spots' field; no median of two, none of one."""
        crps = self.scores["models"][self.primary]["fields"][self.hotspot.field]["by_simulation"]["crps"]
        ranked = sorted(range(self.n_simulations), key=lambda number: crps[number])
        if len(ranked) < 2:
            return {}
        median = {"median": ranked[(len(ranked) - 1) // 2]} if len(ranked) > 2 else {}
        return {"best": ranked[0], **median, "worst": ranked[-1]}


def open_run(folder: Path) -> Run:
    """Open a run folder for reporting.

    Raises
    ------
    ValueError
        If ``config.yaml`` or ``scores.json`` is missing or does not fit, or if no scored model has a test rollout.
    """
    config, scores = load_config(folder / "config.yaml"), load_scores(folder / "scores.json")
    paths = {name: inside(folder, "rollouts", f"{name}_test.zarr") for name in scores["models"]}
    rollouts = {name: open_rollout(path) for name, path in paths.items() if path.exists()}
    if not rollouts:
        raise ValueError(f"{folder / 'rollouts'}: expected a test rollout of one of {list(paths)}, found none")
    recalibrated = [name for name, data in rollouts.items() if data.sizes["draw"] > 1 and "uncalibrated" in scores["models"][name]]
    recalibrations = {name: load_recalibration(inside(folder, "recalibration", f"{name}.json")) for name in recalibrated}
    return Run(folder, config, scores, _records(folder / "stages"), rollouts, recalibrations)


def _records(folder: Path) -> dict[str, dict[str, Any]]:
    """Records of finished stages, in the order in which they ended; what is no record is named and left out."""
    files = sorted((path for path in folder.glob("*.json") if path.is_file()), key=lambda path: path.stat().st_mtime)
    records = {}
    for path in files:
        record = _record(path)
        if record is None:
            log.warning("%s: expected the record of a stage, got something else; the report leaves it out", path)
        elif record["seconds"] is not None:
            records[path.stem] = record
    return records


def _record(path: Path) -> dict[str, Any] | None:
    """What a report needs of a record, ``None`` of another file."""
    try:
        content = read_json(path, "the record of a stage")
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    seconds, known = content.get("seconds"), {name: content.get(name, {}) for name in ("hardware", "versions")}
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < math.inf
    if not (seconds is None or number) or not all(isinstance(value, dict) for value in known.values()):
        return None
    return {"seconds": seconds, **known}
