"""Summary statistics of a campaign in The Well's ``stats.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from probtokens.data.atomic import replacing
from probtokens.data.moments import Moments
from probtokens.data.splits import split_folder
from probtokens.data.the_well import ShardInfo, read_info
from probtokens.data.trajectories import TrajectorySet, shard_paths


def write_stats(folder: Path) -> Path:
    """Compute statistics of a campaign's training split and write ``folder/stats.yaml``.

    Keys ``mean``, ``std``, ``rms`` of the values and, with the suffix ``_delta``, of the change between
    consecutive frames (not for fields that do not change), each with one entry per stored field: a number, or
    nested lists for the components of vectors and tensors. Physical units.

    Raises
    ------
    ValueError
        If there is no training split or its files are not sound.
    """
    train = split_folder(folder, "train")
    info = read_info(shard_paths(train)[0])
    trajectories = TrajectorySet.open(train, info.fields, (), cache_bytes=0)
    values, changes = Moments(len(info.fields)), Moments(len(info.fields))
    for i in range(len(trajectories)):
        frames = trajectories.whole(i)
        values.update(frames)
        changes.update(np.diff(frames, axis=0))
    changing = [name for name in info.fields if info.sources[name].time_varying]
    stats: dict[str, dict[str, Any]] = {}
    for key in ("mean", "std", "rms"):
        stats[key] = _nested(info, dict(zip(info.fields, getattr(values, key).tolist(), strict=True)))
        delta = dict(zip(info.fields, getattr(changes, key).tolist(), strict=True))
        stats[f"{key}_delta"] = _nested(info, {name: delta[name] for name in changing})
    path = folder / "stats.yaml"
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(stats), encoding="utf-8")
    return path


def _nested(info: ShardInfo, numbers: Mapping[str, float]) -> dict[str, Any]:
    """Numbers per scalar field -> numbers or nested lists per stored field."""
    grouped: dict[str, list[float]] = {}
    for name, number in numbers.items():
        grouped.setdefault(info.sources[name].dataset, []).append(number)
    order = {source.dataset: (len(source.axes),) * len(source.component) for source in info.sources.values()}
    return {name: np.reshape(parts, order[name]).tolist() for name, parts in grouped.items()}
