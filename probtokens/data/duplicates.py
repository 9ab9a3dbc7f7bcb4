"""Simulations that are in more than one set, e.g. both trained on and tested with."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from probtokens.data.the_well.faults import listed
from probtokens.data.trajectories import TrajectorySet

#: A simulation by the name of its set and its own name.
Place = tuple[str, str]


def find_duplicates(sets: Mapping[str, TrajectorySet], *, frames: int | None = None) -> tuple[tuple[Place, ...], ...]:
    """Find simulations that are in two sets or more, by a hash of their frames.

    Parameters
    ----------
    sets
        Name -> simulations, e.g. of the splits of both scales. All frames that are compared are read once.
    frames
        How many frames to compare from the first on; all if left out. Of one frame, only the initial state counts.

    Returns
    -------
    tuple of tuples
        Groups of equal simulations that are in more than one set, as (set, simulation), in the order of the sets.
        Simulations that are equal within one set alone are left out.

    Raises
    ------
    ValueError
        If the sets have different fields, a value cannot be used, or ``frames`` is less than 1.
    """
    if frames is not None and frames < 1:
        raise ValueError(f"duplicates: expected at least 1 frame to compare, got {frames}")
    names = {tuple(spec.name for spec in trajectories.fields) for trajectories in sets.values()}
    if len(names) > 1:
        raise ValueError(f"duplicates: expected sets of the same fields, got {listed(sorted(names))}")
    return equal_digests(
        {
            label: {name: frame_digest(trajectories, number, frames) for number, name in enumerate(trajectories.names)}
            for label, trajectories in sets.items()
        }
    )


def equal_digests(digests: Mapping[str, Mapping[str, str]]) -> tuple[tuple[Place, ...], ...]:
    """Groups as those of :func:`find_duplicates`, from what :func:`frame_digest` says of every simulation by set and name."""
    places: dict[str, list[Place]] = defaultdict(list)
    for label, simulations in digests.items():
        for name, digest in simulations.items():
            places[digest].append((label, name))
    return tuple(tuple(group) for group in places.values() if len({label for label, _ in group}) > 1)


def frame_digest(trajectories: TrajectorySet, number: int, n_frames: int | None = None) -> str:
    """Hash of the shape and the values of a simulation, or of its first frames; both zeros count as one."""
    stop = None if n_frames is None else min(n_frames, trajectories.grid.n_times)
    frames = trajectories.frames(number, 0, stop)
    hashed = hashlib.blake2b(repr(frames.shape).encode(), digest_size=16)
    for frame in frames:
        hashed.update(np.ascontiguousarray(frame + np.float32(0.0)).tobytes())
    return hashed.hexdigest()
