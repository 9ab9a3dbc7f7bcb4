"""What the scalars and fields of some files hold: ranges, text, and what is missing or cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from probtokens.config import EvaluateConfig
from probtokens.data import ShardInfo, read_frames
from probtokens.data.the_well import read_scalar_as_stored
from probtokens.fields import KNOWN_FIELDS
from probtokens.units import mend, same_dimension

_TEXTS_SHOWN = 3


@dataclass
class Summary:
    """Values of one scalar or field in the files of a folder.

    Attributes
    ----------
    unit
        Unit, or the units if files differ in it.
    low, high
        Smallest and largest finite value.
    not_finite
        Number of values that are not finite or stand for none.
    texts
        Values that are text.
    nonzero
        Number of finite values other than zero.
    missing_in
        Names of the files that lack it.
    problem
        Why it cannot be used, empty if it can.
    """

    unit: str
    low: float = np.inf
    high: float = -np.inf
    not_finite: int = 0
    texts: list[str] = field(default_factory=list)
    nonzero: int = 0
    missing_in: list[str] = field(default_factory=list)
    problem: str = ""

    def update(self, values: np.ndarray) -> None:
        """Take in values of any shape: numbers or text."""
        if values.dtype.kind == "U":
            self.texts += [text for text in dict.fromkeys(values.tolist()) if text not in self.texts]
            return
        finite = values[np.isfinite(values)]
        self.not_finite += values.size - finite.size
        self.nonzero += int(np.count_nonzero(finite))
        if finite.size:
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))

    def __str__(self) -> str:
        if self.problem:
            return "cannot be used, see below"
        parts = [f"{self.low:.4g} … {self.high:.4g}"] if self.low <= self.high else []
        if self.texts:
            more = f", … {len(self.texts)} in all" if len(self.texts) > _TEXTS_SHOWN else ""
            parts.append(f"text: {', '.join(self.texts[:_TEXTS_SHOWN])}{more}")
        if self.not_finite:
            parts.append(f"not finite: {self.not_finite}")
        if self.missing_in:
            parts.append(f"not in {', '.join(self.missing_in) if len(self.missing_in) < 3 else f'{len(self.missing_in)} of the files'}")
        return "; ".join(parts)


def scalar_summaries(infos: Sequence[ShardInfo]) -> dict[str, Summary]:
    """Summarise every scalar that any of the files holds; one that cannot be read says why."""
    summaries = _empty(infos, (info.scalars for info in infos))
    for name, summary in summaries.items():
        for info in infos:
            if name in info.scalars:
                try:
                    summary.update(read_scalar_as_stored(info, name))
                except ValueError as error:
                    summary.problem = summary.problem or str(error)
            else:
                summary.missing_in.append(info.path.name)
    return summaries


def field_summaries(infos: Sequence[ShardInfo]) -> tuple[dict[str, Summary], np.ndarray | None]:
    """Summarise every field that any of the files holds.

    Returns
    -------
    summaries
        Field name -> its summary; one that cannot be read says why.
    hot
        Area above the threshold of hot spots in the last frame of each simulation, or ``None`` without a temperature in some unit.
    """
    summaries = _empty(infos, (info.fields for info in infos))
    hot: list[float] = []
    for info in infos:
        for name, summary in summaries.items():
            if name not in info.fields:
                summary.missing_in.append(info.path.name)
            elif info.sources[name].fault:
                summary.problem = summary.problem or info.sources[name].fault
        for simulation in range(info.n_simulations):
            usable = [name for name in info.fields if not summaries[name].problem]
            for name, frames in _read_each(info, simulation, usable, summaries):
                summaries[name].update(frames)
                if name == "temperature" and (limit := hot_from(info.units[name])) is not None:
                    hot.append(np.count_nonzero(frames[-1] > limit) * info.grid.cell_area)
    found = len(hot) and not summaries["temperature"].problem
    return summaries, np.array(hot) if found else None


def hot_from(unit: str) -> float | None:
    """Temperature above which cells are hot unless a recipe says otherwise, in ``unit``; ``None`` if that is of another dimension."""
    default, known = EvaluateConfig().hotspot_threshold, KNOWN_FIELDS["temperature"].unit
    return float(mend(known, unit)(np.array(default))) if same_dimension(unit, known) else None


def _empty(infos: Sequence[ShardInfo], names: Iterable[Sequence[str]]) -> dict[str, Summary]:
    units = {name: list(dict.fromkeys(info.units[name] for info in infos if name in info.units)) for part in names for name in part}
    return {name: Summary(" or ".join(found)) for name, found in units.items()}


def _read_each(info: ShardInfo, simulation: int, names: Sequence[str], summaries: dict[str, Summary]) -> Iterable[tuple[str, np.ndarray]]:
    """Frames of each field, shape (time, y, x); together if all can be read, else one by one to tell which cannot."""
    try:
        yield from zip(names, np.moveaxis(read_frames(info, simulation, names), 1, 0), strict=True)
    except ValueError:
        for name in names:
            try:
                frames = read_frames(info, simulation, [name])[:, 0]
            except ValueError as error:
                summaries[name].problem = str(error)
            else:
                yield name, frames
