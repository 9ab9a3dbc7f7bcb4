"""What a person sees while a run works: bars on a terminal, lines elsewhere, and the log file."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import rich.console
import rich.progress

from probtokens.data.atomic import writing
from probtokens.screen import open_screen, say
from probtokens.time_left import TimeLeft, format_left

log = logging.getLogger(__name__)

_PLAIN_INTERVAL = 15.0
_PACKAGE = Path(__file__).parent
#: A warning as Python writes it: where it comes from, its class, what it says, and that line of code.
_WARNING = re.compile(r".+?:\d+: \w+: (.*?)(?:\n  [^\n]*)?", re.DOTALL)

#: Shows steps done, steps in all, what is being done, and how long it will take.
_Show = Callable[[int, int, str, str], None]


class Progress(Protocol):
    """What long work calls after each step."""

    def __call__(self, done: int, total: int, text: str = "") -> None:
        """Report steps done, steps in all, and what is being done."""
        ...


class Console:
    """Reports stages and their progress on one stream.

    Parameters
    ----------
    stream
        Where to write; standard error by default.
    """

    def __init__(self, stream: rich.console.Console | None = None) -> None:
        self._stream = stream or open_screen(stderr=True)

    def skipped(self, title: str) -> None:
        """Say that a stage is up to date."""
        log.info("%s: up to date", title)
        say(self._stream, (f"{title}: up to date", "dim"))

    @contextmanager
    def stage(self, title: str) -> Iterator[Progress]:
        """Show a stage from its begin to its end; yields what its work reports progress to."""
        log.info("%s: begin", title)
        begin = time.perf_counter()
        estimate = TimeLeft()
        drawn = self._stream.is_terminal and not self._stream.is_dumb_terminal
        with self._bar(title) if drawn else self._lines(title) as show:

            def progress(done: int, total: int, text: str = "") -> None:
                left = estimate.update(done, total)
                show(done, total, text, f"about {format_left(left)} left" if left is not None else "")

            yield progress
        message = f"{title}: done in {format_seconds(time.perf_counter() - begin)}"
        log.info(message)
        say(self._stream, message)

    @contextmanager
    def logging_to(self, path: Path) -> Iterator[None]:
        """Append the package's log records and all warnings to ``path``; show its warnings on the stream."""
        with writing(path):
            file = _FileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        shown, shown_warnings = _StreamHandler(self._stream), _StreamHandler(self._stream)
        shown_warnings.addFilter(_is_ours)
        own, warned = logging.getLogger("probtokens"), logging.getLogger("py.warnings")
        level = own.level
        own.setLevel(logging.INFO)
        own.addHandler(file)
        own.addHandler(shown)
        warned.addHandler(file)
        warned.addHandler(shown_warnings)
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            warned.removeHandler(shown_warnings)
            warned.removeHandler(file)
            own.removeHandler(shown)
            own.removeHandler(file)
            own.setLevel(level)
            file.close()

    @contextmanager
    def _bar(self, title: str) -> Iterator[_Show]:
        columns = (
            rich.progress.TextColumn("{task.fields[title]}", markup=False),
            rich.progress.BarColumn(bar_width=30),
            rich.progress.TextColumn("{task.fields[count]}", markup=False),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("{task.fields[left]}", markup=False),
            rich.progress.TextColumn("{task.description}", style="dim", markup=False),
        )
        with rich.progress.Progress(*columns, console=self._stream, transient=True) as bars:
            task = bars.add_task("", total=None, title=title, count="", left="")

            def show(done: int, total: int, text: str, left: str) -> None:
                bars.update(task, completed=done, total=total, description=text, count=f"{done}/{total}", left=left)

            yield show

    @contextmanager
    def _lines(self, title: str) -> Iterator[_Show]:
        """Write at most one line per interval, so that a log of a batch job stays readable."""
        say(self._stream, f"{title} ...")
        last = time.perf_counter()

        def show(done: int, total: int, text: str, left: str) -> None:
            nonlocal last
            if time.perf_counter() - last >= _PLAIN_INTERVAL:
                last = time.perf_counter()
                say(self._stream, ", ".join(filter(None, (f"{title}: {done}/{total} {text}".rstrip(), left))))

        yield show


class _FileHandler(logging.FileHandler):
    """A log on a full disk loses lines; what went wrong is said on the screen."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


class _StreamHandler(logging.Handler):
    """Shows warnings above a progress bar without breaking it; the log file alone says where in the code they come from."""

    def __init__(self, stream: rich.console.Console) -> None:
        super().__init__(logging.WARNING)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        found = _WARNING.fullmatch(text) if record.name == "py.warnings" else None
        say(self._stream, (found[1] if found else text, "yellow"))


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a captured warning was raised by this package: others belong in the log file."""
    return record.getMessage().startswith(str(_PACKAGE))


def format_seconds(seconds: float) -> str:
    """Duration for people.

    >>> format_seconds(7.25), format_seconds(754)
    ('7.2 s', '12 min 34 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
