"""Runs stages in order, and only those that must run."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from filelock import FileLock, Timeout

from probtokens.config import Config, dump_config
from probtokens.data.atomic import replacing, writing
from probtokens.pipeline import outputs
from probtokens.pipeline.console import Console
from probtokens.pipeline.fingerprint import fingerprints
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.record import finished, read_record, started, write_record
from probtokens.pipeline.stage import Job, Stage

log = logging.getLogger(__name__)

#: ``damaged``: finished, but files have been removed or changed since.
State = Literal["done", "damaged", "partial", "outdated", "absent"]

_FOUND = {"outdated": "some made with other settings", "partial": "unfinished ones", "damaged": "damaged files", "absent": "none"}


def state_of(folder: RunFolder, stage: Stage, fingerprint: str) -> State:
    """How far a stage is, for settings with the given fingerprint."""
    record = read_record(folder.record(stage.name))
    if record is None:
        return "absent"
    if record.fingerprint != fingerprint:
        return "outdated"
    if record.status == "started":
        return "partial"
    return "damaged" if outputs.damaged(folder.root, record.outputs) else "done"


def states(folder: RunFolder, stages: Sequence[Stage]) -> dict[str, State]:
    """State of every stage."""
    known = fingerprints(stages)
    return {stage.name: state_of(folder, stage, known[stage.name]) for stage in stages}


def execute(folder: RunFolder, config: Config, stages: Sequence[Stage], console: Console, only: Collection[str] | None = None) -> None:
    """Run the stages that are not done.

    Parameters
    ----------
    folder
        Run folder; made if there is none.
    config
        Resolved configuration; saved in the folder.
    stages
        All stages of the run, each after the ones it needs.
    console
        Tells what happens.
    only
        Names of the stages to run; all by default.

    Raises
    ------
    ValueError
        If the folder holds something else, another process works on it, or a stage that is not in
        ``only`` is needed and not done.
    """
    known = fingerprints(stages)
    by_name = {stage.name: stage for stage in stages}
    with _claimed(folder), console.logging_to(folder.log):
        _save_config(folder, config)
        for stage in stages:
            if only is not None and stage.name not in only:
                continue
            for need in stage.needs:
                require_done(folder, stage.title, by_name[need], known[need])
            _bring_up_to_date(folder, config, stage, known[stage.name], console)


def _bring_up_to_date(folder: RunFolder, config: Config, stage: Stage, fingerprint: str, console: Console) -> None:
    state = state_of(folder, stage, fingerprint)
    if state == "done":
        console.skipped(stage.title)
        return
    _prepare(folder, stage, fingerprint, state)
    begin = time.perf_counter()
    with console.stage(stage.title) as progress:
        try:
            precision = stage.work(Job(config=config, folder=folder, progress=progress))
        except Exception:
            log.info("%s: failed", stage.title, exc_info=True)
            raise
    made = outputs.sizes(folder.root, stage.outputs)
    write_record(folder.record(stage.name), finished(stage.name, fingerprint, time.perf_counter() - begin, made, precision))


def _prepare(folder: RunFolder, stage: Stage, fingerprint: str, state: State) -> None:
    """Leave of the outputs only what the stage may go on from."""
    path = folder.record(stage.name)
    if state == "damaged":
        record = read_record(path)
        assert record is not None
        broken = {outputs.enclosing_array(file) for file in outputs.damaged(folder.root, record.outputs)}
        for file in sorted(broken):
            log.warning("%s: %s has changed since it was made; making it again", stage.title, file)
        outputs.remove(broken)
    elif state == "outdated" and stage.discard is not None:
        log.warning("%s: settings have changed; what the new ones would make otherwise is removed", stage.title)
        if (record := read_record(path)) is not None:
            outputs.remove(outputs.damaged(folder.root, record.outputs))
        stage.discard()
    elif state != "partial":
        if state == "outdated":
            log.warning("%s: settings have changed; what was made with the old ones is removed", stage.title)
        outputs.remove(stage.outputs)
    else:
        log.info("%s: goes on where it was interrupted", stage.title)
    write_record(path, started(stage.name, fingerprint))


def require_done(folder: RunFolder, user: str, need: Stage, fingerprint: str) -> None:
    """Refuse to go on for ``user`` unless the stage ``need`` is done.

    Raises
    ------
    ValueError
        If it is not; the message names the command that makes its results.
    """
    state = state_of(folder, need, fingerprint)
    if state != "done":
        raise ValueError(
            f"{folder.root}: {user!r} expected the results of {need.title!r}, found {_FOUND[state]}; "
            f"make them with: probtokens {need.command} RECIPE --out {folder.root}"
        )


def at_work(folder: RunFolder) -> bool:
    """Whether a process works in the run folder now."""
    if not folder.lock.is_file():
        return False
    lock = FileLock(folder.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a folder that cannot be written: nobody works there
        return False
    lock.release()
    return False


def _save_config(folder: RunFolder, config: Config) -> None:
    text = dump_config(config)
    if not folder.config.is_file() or folder.config.read_text(encoding="utf-8") != text:
        with replacing(folder.config) as temporary:
            temporary.write_text(text, encoding="utf-8")


def require_usable(folder: RunFolder) -> None:
    """Refuse a root that is no run folder and could not become one.

    Raises
    ------
    ValueError
        If it is a file, or holds something else than a run or previews of one.
    """
    root = folder.root
    if root.exists() and not root.is_dir():
        raise ValueError(f"{root}: expected a folder for the run, found a file")
    if root.is_dir() and not folder.stages.is_dir() and any(p != folder.preview and not p.name.startswith(".") for p in root.iterdir()):
        raise ValueError(f"{root}: expected an empty folder or a run folder (with stages/), found other files")


@contextmanager
def _claimed(folder: RunFolder) -> Iterator[None]:
    """Make the run folder if needed and keep other processes out of it."""
    require_usable(folder)
    root = folder.root
    lock = FileLock(folder.lock)
    try:
        with writing(root):
            folder.stages.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"{root}: expected no other process at work in this run folder, found one") from None
    try:
        yield
    finally:
        lock.release()
