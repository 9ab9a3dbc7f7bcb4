"""Runs stages in order, and only those that must run."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from probtokens.config import Config, dump_config
from probtokens.console import Console
from probtokens.data.atomic import remove_leftovers, replacing, writing
from probtokens.pipeline import outputs
from probtokens.pipeline.fingerprint import fingerprints
from probtokens.pipeline.folder import RunFolder, new_of, old_of
from probtokens.pipeline.gate import require_fit
from probtokens.pipeline.record import differences, finished, read_record, started, write_record
from probtokens.pipeline.stage import Job, Stage

log = logging.getLogger(__name__)

#: ``damaged``: finished, but files have been removed or changed since.
State = Literal["done", "damaged", "partial", "outdated", "absent"]

_FOUND = {"outdated": "some made with other settings", "partial": "unfinished ones", "damaged": "damaged files", "absent": "none"}


def state_of(folder: RunFolder, stage: Stage, fingerprint: str) -> State:
    """How far a stage is, for settings with the given fingerprint."""
    record = read_record(folder.record(stage.name))
    if record is not None and record.fingerprint == fingerprint:
        if record.status == "started":
            return "partial"
        return "damaged" if outputs.damaged(folder, record.outputs) else "done"
    if _made_anew(folder, stage, fingerprint):
        return "partial"
    return "absent" if record is None else "outdated"


def _made_anew(folder: RunFolder, stage: Stage, fingerprint: str) -> bool:
    """Whether results for this fingerprint are under way beside older ones."""
    record = read_record(new_of(folder.record(stage.name)))
    return record is not None and record.fingerprint == fingerprint


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
        If simulations, recipe and tokens do not fit each other, the folder holds something else, another process works on it, or a
        stage that is not in ``only`` is needed and not done.
    """
    known = fingerprints(stages)
    by_name = {stage.name: stage for stage in stages}
    require_fit(config, folder, stages, by_name if only is None else only)
    made = [path for path in (folder.root, *folder.root.parents) if not path.exists()]
    with _claimed(folder), _unless_refused(made, stages), console.logging_to(folder.log):
        _save_config(folder, config)
        _clear_up(folder, stages)
        for stage in stages:
            if only is not None and stage.name not in only:
                continue
            for need in stage.needs:
                require_done(folder, stage.title, by_name[need], known[need])
            _bring_up_to_date(folder, config, stage, known[stage.name], console)
        _tell_differences(folder, [stage for stage in stages if only is None or stage.name in only])


@contextmanager
def _unless_refused(made: Sequence[Path], stages: Sequence[Stage]) -> Iterator[None]:
    """Take away the folders that a command made, innermost first, if it made nothing in them because what it was given was refused."""
    try:
        yield
    except ValueError:
        if made and not any(outputs.files_in(output) for stage in stages for output in stage.outputs):
            outputs.remove(made[:1])
            for parent in made[1:]:
                with suppress(OSError):  # somebody has put something there
                    parent.rmdir()
        raise


def _bring_up_to_date(folder: RunFolder, config: Config, stage: Stage, fingerprint: str, console: Console) -> None:
    state = state_of(folder, stage, fingerprint)
    if state == "done":
        console.skipped(stage.title)
        return
    place = _prepare(folder, stage, fingerprint, state)
    begin = time.perf_counter()
    with console.stage(stage.title) as progress:
        try:
            precision = stage.work(Job(config=config, folder=place, progress=progress))
        except Exception:
            log.info("%s: failed", stage.title, exc_info=True)
            raise
    made = outputs.digests(place, stage.outputs)
    record = finished(stage.name, fingerprint, time.perf_counter() - begin, made, precision)
    if place.anew:
        write_record(new_of(folder.record(stage.name)), record)
        _install(folder, stage)
    else:
        write_record(folder.record(stage.name), record)


def _prepare(folder: RunFolder, stage: Stage, fingerprint: str, state: State) -> RunFolder:
    """Where the stage works: in place, on what it may go on from, or beside older results, which stay until the new ones are there."""
    path = folder.record(stage.name)
    record = read_record(path)
    anew = folder.making(stage.outputs)
    if state == "damaged":
        assert record is not None
        broken = {outputs.enclosing_array(file) for file in outputs.damaged(folder, record.outputs)}
        for file in sorted(broken):
            log.warning("%s: %s has changed since it was made; making it again", stage.title, file)
        outputs.remove(broken)
    elif state == "partial":
        log.info("%s: goes on where it was interrupted", stage.title)
        if _made_anew(folder, stage, fingerprint):
            return anew
    elif any(output.exists() for output in stage.outputs):
        why = "settings have changed" if record is not None else f"expected a record in {path} of what is there, found none"
        log.warning("%s: %s; the old results stay until the new ones are there", stage.title, why)
        outputs.remove(map(new_of, stage.outputs))
        spoilt = set(outputs.damaged(folder, record.outputs)) if record is not None else set()
        for file in set(stage.reusable()) - spoilt:
            outputs.reuse(file, folder, anew)
        write_record(new_of(path), started(stage.name, fingerprint))
        return anew
    write_record(path, started(stage.name, fingerprint))
    return folder


def _install(folder: RunFolder, stage: Stage) -> None:
    """Put what was made anew, and its record, in the place of the old."""
    outputs.install(stage.outputs)
    path = folder.record(stage.name)
    with writing(path):
        new_of(path).replace(path)
    outputs.remove(map(old_of, stage.outputs))


def _clear_up(folder: RunFolder, stages: Sequence[Stage]) -> None:
    """Finish what a kill left half done, and remove what it left behind."""
    remove_leftovers(folder.config)
    for stage in stages:
        path = folder.record(stage.name)
        anew = read_record(new_of(path))
        if anew is not None and anew.status == "done":
            _install(folder, stage)
        outputs.remove(map(old_of, stage.outputs))
        for place in (path, *stage.outputs, *(output / "any" for output in stage.outputs)):
            remove_leftovers(place)


def _tell_differences(folder: RunFolder, stages: Sequence[Stage]) -> None:
    """Warn of results that other versions or another processor made; they stay."""
    found: dict[str, list[str]] = {}
    for stage in stages:
        record = read_record(folder.record(stage.name))
        for difference in differences(record) if record is not None else ():
            found.setdefault(difference, []).append(stage.title)
    for difference, titles in found.items():
        log.warning("%s: made with %s; the results stay", ", ".join(titles), difference)


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
