"""A run of three fake stages whose work is a line in a file, so that what ran can be counted."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import rich.console

from probtokens.config import Config
from probtokens.console import Console
from probtokens.pipeline.engine import execute
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.stage import Job, Stage


@dataclass
class FakeRun:
    """Stages data → model → scores; ``ran`` lists the work done since it was last cleared."""

    folder: RunFolder
    ran: list[str] = field(default_factory=list)
    settings: dict[str, int] = field(default_factory=lambda: {"data": 1, "model": 1, "scores": 1})
    before: Callable[[str], None] = lambda name: None
    stream: io.StringIO = field(default_factory=io.StringIO)

    def stages(self) -> tuple[Stage, ...]:
        return tuple(
            Stage(name, name, needs, {"value": self.settings[name]}, (self.folder.root / name,), self._work(name))
            for name, needs in (("data", ()), ("model", ("data",)), ("scores", ("model",)))
        )

    def execute(self, only: set[str] | None = None) -> list[str]:
        self.ran.clear()
        execute(self.folder, Config(), self.stages(), Console(rich.console.Console(file=self.stream)), only)
        return list(self.ran)

    def text(self, name: str) -> str:
        return (self.folder.root / name / "out.txt").read_text(encoding="utf-8")

    def _work(self, name: str) -> Callable[[Job], None]:
        def work(job: Job) -> None:
            out = job.folder.inside(name)
            out.mkdir(exist_ok=True)
            half = out / "half.txt"
            if not half.exists():
                half.write_text(str(self.settings[name]), encoding="utf-8")
                self.ran.append(f"{name}: first half")
            self.before(name)
            (out / "out.txt").write_text(half.read_text(encoding="utf-8"), encoding="utf-8")
            self.ran.append(name)

        return work


@pytest.fixture
def fake_run(tmp_path: Path) -> FakeRun:
    return FakeRun(RunFolder(tmp_path / "run"))
