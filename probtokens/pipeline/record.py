"""The record that a stage leaves in a run folder."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from probtokens import __version__
from probtokens.data.atomic import replacing
from probtokens.precision import instructions

#: What results may differ with beyond settings.
_COMPARED = ("probtokens", "torch", "instructions")

_PACKAGES = ("torch", "pyro-ppl", "lightning", "numpy", "h5py", "zarr")


class StageRecord(BaseModel):
    """State of one stage.

    Attributes
    ----------
    fingerprint
        Hash of everything that its outputs depend on.
    status
        ``started`` while outputs are incomplete, ``done`` once they are whole.
    seconds
        Wall-clock time of the call that finished it.
    finished
        When that was, ISO 8601, UTC.
    outputs
        Digest (SHA-256) of every file it made, by path relative to the run folder; size in bytes where an older version made it.
    versions, hardware
        What it ran with.
    precision
        Precision of convolutions, by training stage or model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    fingerprint: str
    status: Literal["started", "done"]
    seconds: float | None = None
    finished: str | None = None
    outputs: dict[str, str | int] = {}
    versions: dict[str, str] = {}
    hardware: dict[str, str] = {}
    precision: dict[str, str] = {}


def started(stage: str, fingerprint: str) -> StageRecord:
    """Record of a stage that begins."""
    return StageRecord(stage=stage, fingerprint=fingerprint, status="started")


def finished(
    stage: str, fingerprint: str, seconds: float, outputs: Mapping[str, str], precision: Mapping[str, str] | None = None
) -> StageRecord:
    """Record of a stage that has just ended on this machine."""
    return StageRecord(
        stage=stage,
        fingerprint=fingerprint,
        status="done",
        seconds=round(seconds, 3),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        outputs=dict(outputs),
        versions=versions(),
        hardware=hardware(),
        precision=dict(precision or {}),
    )


def read_record(path: Path) -> StageRecord | None:
    """Record in ``path``; ``None`` if there is none that this version understands."""
    try:
        return StageRecord.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError:
        return None


def write_record(path: Path, record: StageRecord) -> None:
    """Write a record, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(record.model_dump_json(indent=2, exclude_defaults=True) + "\n", encoding="utf-8")


def differences(record: StageRecord) -> list[str]:
    """What made a finished result otherwise than it would be made here: the package, torch and the instructions of the processor."""
    here = versions() | hardware()
    made = record.versions | record.hardware
    return [f"{key} {made[key]}, here {here[key]}" for key in _COMPARED if key in made and made[key] != here[key]]


def versions() -> dict[str, str]:
    """Versions of Python, this package and those that its results depend on."""
    found = {"python": platform.python_version(), "probtokens": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, str]:
    """Architecture, instructions and number of cores and, if torch uses one, the accelerator."""
    known = ", ".join(instructions()) or "not known"
    found = {"machine": platform.machine(), "instructions": known, "cores": str(os.cpu_count() or 1)}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found
