"""A stage: a named step of a run that turns files into files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probtokens.config import Config
from probtokens.console import Progress
from probtokens.pipeline.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Job:
    """What a stage's work is given."""

    config: Config
    folder: RunFolder
    progress: Progress


Work = Callable[[Job], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a run.

    Attributes
    ----------
    name
        Identifier, also the name of its record.
    command
        Sub-command of ``probtokens`` that runs it, e.g. ``"train micro"``.
    needs
        Names of the stages whose results it reads.
    settings
        JSON-like values that determine its results, together with those of ``needs``.
    outputs
        Files and folders that belong to this stage alone.
    work
        Makes the outputs where the job's folder has them, or completes what an interrupted call left of them; may tell the precision
        of what it computed, by name.
    reusable
        Lists the files of older results that changed settings can go on from; none by default.
    """

    name: str
    command: str
    needs: tuple[str, ...]
    settings: Mapping[str, Any]
    outputs: tuple[Path, ...]
    work: Work
    reusable: Callable[[], Iterable[Path]] = tuple

    @property
    def title(self) -> str:
        """Name for people, e.g. ``"train micro"``."""
        return self.name.replace("_", " ", 1)
