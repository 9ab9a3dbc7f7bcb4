"""Recognise a layout, and write its simulations in The Well's, one at a time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from probtokens.data.atomic import remove_leftovers, replacing
from probtokens.data.importers.arrays import ArraySource
from probtokens.data.importers.parc import ParcSource
from probtokens.data.importers.parctorch import ParctorchSource
from probtokens.data.importers.pdebench import PdebenchSource
from probtokens.data.importers.plan import Plan, make_plan
from probtokens.data.importers.scimitar import ScimitarSource
from probtokens.data.importers.source import Contents, Given, Source
from probtokens.data.importers.well import WellSource
from probtokens.data.splits import SPLITS
from probtokens.data.stats import write_stats
from probtokens.data.the_well import write_shard
from probtokens.data.the_well.faults import fault, listed
from probtokens.json_text import read_json

#: Name of every layout -> what reads it. The first one that recognises the files is taken.
LAYOUTS: dict[str, type[Source]] = {
    source.layout: source for source in (ParcSource, ParctorchSource, PdebenchSource, WellSource, ScimitarSource, ArraySource)
}

#: What a folder of converted simulations was made from.
RECORD = "convert.json"

#: Picture of a dry run, which a conversion leaves where it is.
PICTURE = "preview.png"


def open_source(path: Path, given: Given) -> Source:
    """Recognise the layout of the files at ``path``, unless it is given, and say what is there.

    Raises
    ------
    ValueError
        If there is nothing, no layout is recognised, or the files are not as their layout has them.
    """
    if not path.exists():
        raise fault(path, "a file or folder of simulations", "none")
    if given.layout is not None:
        if given.layout not in LAYOUTS:
            raise ValueError(f"--layout: expected one of {list(LAYOUTS)}, got {given.layout!r}")
        return LAYOUTS[given.layout](path, given)
    found = next((source for source in LAYOUTS.values() if source.recognises(path)), None)
    if found is None:
        inside = listed(sorted(entry.name for entry in path.iterdir())) if path.is_dir() else "another file"
        raise fault(path, f"files in one of the layouts {', '.join(LAYOUTS)} (--layout says what is wrong with them)", inside)
    return found(path, given)


def convert(path: Path, folder: Path, given: Given, *, progress: Callable[[int, int, str], None] | None = None) -> Plan:
    """Write the simulations at ``path`` to ``folder``, as ``data/SPLIT/NAME.hdf5`` and ``stats.yaml``.

    One simulation is in memory at a time, and its file appears whole or not at all. The same call goes on where an interrupted one stopped.

    Parameters
    ----------
    path
        File or folder in one of the layouts.
    folder
        Folder to make; one with anything else in it than such an interrupted conversion is refused.
    given
        What the files do not tell.
    progress
        Called with simulations done, simulations in all, and the name of the last one.

    Returns
    -------
    Plan
        What has been written.

    Raises
    ------
    ValueError
        If the files are not as their layout has them, something has to be said, or the folder holds something else.
    WriteError
        If a file cannot be written.
    """
    if folder.resolve().is_relative_to(path.resolve()):
        raise ValueError(f"{folder}: expected a folder outside of {path}, got one in it")
    source = open_source(path, given)
    plan = make_plan(source.contents, given)
    names = plan.contents.names
    if len(set(names)) < len(names):
        raise fault(path, "simulations with different names", listed(sorted({name for name in names if names.count(name) > 1})))
    there = folder.exists()
    _claim(folder, source, given)
    targets = [(folder / "data" / split / f"{names[k]}.hdf5", k) for split, numbers in plan.splits.items() for k in numbers]
    try:
        for done, (target, number) in enumerate(targets):
            if progress is not None:
                progress(done, len(targets), names[number])
            remove_leftovers(target)
            if not target.exists():
                _write(target, source, plan, number)
    except ValueError:  # simulations that are not as they should be
        _unclaim(folder, there)
        raise
    write_stats(folder)
    return plan


def _write(target: Path, source: Source, plan: Plan, number: int) -> None:
    contents = source.contents
    frames, scalars = plan.mended(source.read(number), number)
    write_shard(
        target,
        {name: values[None] for name, values in frames.items()},
        grid=plan.grid,
        scalars={name: np.array([value]) for name, value in scalars.items()},
        units=plan.units,
        dataset_name=contents.path.resolve().stem,
        boundary=plan.boundary,
        vectors=plan.vectors,
        tensors=plan.tensors,
        attributes={**contents.attributes, "layout": source.layout, "simulation": contents.names[number]},
    )


def _claim(folder: Path, source: Source, given: Given) -> None:
    """Write down what the folder is made from, or compare it with what an earlier call wrote."""
    record = {
        "source": str(source.contents.path.resolve()),
        "layout": source.layout,
        "given": json.loads(json.dumps(asdict(given))),
        "files": _digest(source.contents),
    }
    path = folder / RECORD
    if not path.is_file():
        others = sorted(entry.name for entry in folder.iterdir() if entry.name != PICTURE) if folder.is_dir() else []
        if others or (folder.exists() and not folder.is_dir()):
            raise fault(folder, "a new or empty folder", listed(others) if others else "a file")
    elif any((folder / "data").rglob("*.hdf5")):
        found = read_json(path, "record of a conversion")
        changed = [key for key, value in record.items() if not isinstance(found, dict) or found.get(key) != value]
        if changed:
            expected = "a new folder, or one with the same conversion to go on with (remove what is there to begin anew)"
            raise fault(folder, expected, f"one with another: {listed(changed)} changed")
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _unclaim(folder: Path, there: bool) -> None:
    """Leave nothing of a conversion that was refused before its first simulation was written, but a folder that was there."""
    if any((folder / "data").rglob("*.hdf5")):
        return
    (folder / RECORD).unlink(missing_ok=True)
    for made in (*(folder / "data" / split for split in SPLITS), folder / "data", *([] if there else [folder])):
        if made.is_dir() and not any(made.iterdir()):
            made.rmdir()


def _digest(contents: Contents) -> str:
    """Hash of names, sizes and times of the source's files."""
    hashed = hashlib.blake2b(digest_size=16)
    for file in contents.files:
        stat = file.stat()
        name = os.path.relpath(file, contents.path)
        hashed.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()
