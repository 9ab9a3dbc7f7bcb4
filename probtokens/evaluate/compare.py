"""Is one model better than another? Paired over simulations, the statistical unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Most simulations for which the sign-flip test is exact; above, it is sampled.
EXACT_LIMIT = 36
_SAMPLES = 200_000
_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired comparison of a model with a reference on a score of which less is better.

    Attributes
    ----------
    n
        Number of simulations.
    difference, difference_low, difference_high
        Mean of model minus reference and its bootstrap interval, in the unit of the score. Below 0: the model is better.
    skill, skill_low, skill_high
        ``1 - mean(model) / mean(reference)`` and its bootstrap interval. Above 0: the model is better. NaN where a mean
        of the reference is not positive: of all simulations or, for the interval, of a resample.
    p_value
        Two-sided, of the sign-flip test.
    level
        Probability of the intervals.
    """

    n: int
    difference: float
    difference_low: float
    difference_high: float
    skill: float
    skill_low: float
    skill_high: float
    p_value: float
    level: float


def compare(model: ArrayLike, reference: ArrayLike, *, level: float = 0.95, n_resamples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare scores by simulation, each of shape (simulation,), averaged over training seeds beforehand.

    Raises
    ------
    ValueError
        If the two are not of one length of at least 2, or not finite.
    """
    a, b = np.asarray(model, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2 or not np.isfinite([a, b]).all():
        raise ValueError(f"scores: expected two finite arrays of one length >= 2, got {a} and {b}")
    rows = np.random.default_rng(seed).integers(len(a), size=(n_resamples, len(a)))
    mean_a, mean_b = a[rows].mean(axis=1), b[rows].mean(axis=1)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(mean_a - mean_b, tails)
    skill_low, skill_high = np.quantile(_skill(mean_a, mean_b), tails)
    return Comparison(
        n=len(a),
        difference=float(np.mean(a - b)),
        difference_low=float(low),
        difference_high=float(high),
        skill=float(_skill(a.mean(), b.mean())),
        skill_low=float(skill_low),
        skill_high=float(skill_high),
        p_value=sign_flip_test(a - b, seed=seed),
        level=level,
    )


def compare_models(document: Mapping[str, Any], model: str, reference: str, *path: str, score: str = "crps", **options: Any) -> Comparison:
    """Compare two models of a scores file, e.g. ``compare_models(load_scores(f), "tokens", "parc", "fields", "temperature")``.

    Raises
    ------
    ValueError
        If a model, the path or the score is not there, or the simulations differ.
    """

    def read(name: str) -> tuple[Sequence[str], Sequence[float]]:
        node: Any = document["models"]
        for key in (name, *path, "by_simulation"):
            if key not in node:
                raise ValueError(f"scores of {name}: expected one of {list(node)}, got {key!r}")
            node = node[key]
        if score not in node:
            raise ValueError(f"scores of {name}: expected one of {list(node)}, got {score!r}")
        return node["simulation"], node[score]

    (names, ours), (other_names, theirs) = read(model), read(reference)
    if list(names) != list(other_names):
        raise ValueError(f"{model} and {reference}: expected the same simulations, got {list(names)} and {list(other_names)}")
    return compare(ours, theirs, **options)


@dataclass(frozen=True, slots=True)
class Pair:
    """One score, less of which is better, of one model in two runs.

    Attributes
    ----------
    model, part, name
        Where both files of scores have it, ``part`` being ``"fields"`` or ``"hotspot"``.
    first, second
        The scores, over the simulations that both runs forecast; over all of each where these are fewer than two.
    paired
        First against second, simulation by simulation; ``None`` where fewer than two are the same.
    """

    model: str
    part: str
    name: str
    first: float
    second: float
    paired: Comparison | None


def compare_documents(first: Mapping[str, Any], second: Mapping[str, Any], *, score: str = "crps") -> list[Pair]:
    """Compare what two files of scores have in common: every model, field and curve, those of hot spots first.

    Simulations are the same if they have one name, one set of leads and, to six digits, one truth in every curve that both tell.

    Parameters
    ----------
    first, second
        Contents of two ``scores.json``.
    score
        Key under ``by_simulation``.

    Raises
    ------
    ValueError
        If their hot spots are of another field or threshold, units differ, or no model is in both.
    """
    if (ours := dict(first["hotspot"])) != (theirs := dict(second["hotspot"])):
        raise ValueError(f"hot spots: expected those of one field and threshold in both runs, got {ours} and {theirs}")
    for part in ("fields", "hotspot"):
        known = [document["units"][part] for document in (first, second)]
        if wrong := {name: (unit, known[1][name]) for name, unit in known[0].items() if known[1].get(name, unit) != unit}:
            raise ValueError(f"units: expected the same in both runs, got {wrong}")
    models = [name for name in first["models"] if name in second["models"]]
    if not models:
        raise ValueError(f"models: expected some in both runs, got {list(first['models'])} and {list(second['models'])}")
    return [pair for model in models for pair in _pairs(first, second, model, score)]


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any], model: str, score: str) -> Iterator[Pair]:
    entries = first["models"][model], second["models"][model]
    places = [_same_simulations(*entries, name) for name in entries[0]["hotspot"] if name in entries[1]["hotspot"]]
    common = [pair for pair in places[0] if all(pair in others for others in places[1:])]
    for part in ("hotspot", "fields"):
        for name in (name for name in entries[0][part] if name in entries[1][part]):
            scored = [entry[part][name] for entry in entries]
            values = [np.array(found["by_simulation"][score], dtype=np.float64) for found in scored]
            paired = len(common) > 1 and all(np.isfinite(own).all() for own in values)
            if not paired:
                ours, theirs = (np.nan if found[score] is None else float(found[score]) for found in scored)
                yield Pair(model, part, name, ours, theirs, None)
                continue
            here, there = (own[[pair[side] for pair in common]] for side, own in enumerate(values))
            yield Pair(model, part, name, float(here.mean()), float(there.mean()), compare(here, there))


def _same_simulations(first: Mapping[str, Any], second: Mapping[str, Any], name: str) -> list[tuple[int, int]]:
    """Positions in either run of the simulations whose truths agree in a curve."""
    ours, theirs = (entry["hotspot"][name]["curves"] for entry in (first, second))
    if not (len(ours["time"]) == len(theirs["time"]) and np.allclose(ours["time"], theirs["time"], rtol=1e-6)):
        return []
    found = []
    for here, label in enumerate(ours["simulation"]):
        for there in (number for number, known in enumerate(theirs["simulation"]) if known == label):
            one, other = (np.array(part["truth"][place], dtype=np.float64) for part, place in ((ours, here), (theirs, there)))
            if np.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True):
                found.append((here, there))
    return found


def sign_flip_test(differences: ArrayLike, *, seed: int = 0) -> float:
    """Two-sided p-value of mean difference 0: the fraction of sign patterns with a mean at least as far from 0.

    Exact up to ``EXACT_LIMIT`` simulations (all sums of one half of the simulations are counted against the sorted
    sums of the other half), a sample of sign patterns with ``seed`` above. The smallest p-value is ``2 / 2**n``.

    Parameters
    ----------
    differences
        Paired differences, shape (simulation,).

    Raises
    ------
    ValueError
        If there is none, or one is not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 1 or not np.isfinite(values).all():
        raise ValueError(f"differences: expected a finite array of length >= 1, got {values}")
    limit = abs(values.sum()) - 1e-12 * np.abs(values).sum()
    if len(values) > EXACT_LIMIT:
        rng = np.random.default_rng(seed)
        signs = (rng.integers(0, 2, size=(_CHUNK, len(values)), dtype=np.int8) for _ in range(_SAMPLES // _CHUNK))
        hits = sum(int(np.count_nonzero(np.abs((2.0 * sign - 1.0) @ values) >= limit)) for sign in signs)
        return (1 + hits) / (1 + _SAMPLES)
    half = len(values) // 2
    left, right = _signed_sums(values[:half]), np.sort(_signed_sums(values[half:]))
    above = len(right) - np.searchsorted(right, limit - left, side="left")
    below = np.searchsorted(right, -limit - left, side="right")
    patterns = 2 ** len(values)
    return min(1.0, float(above.sum() + below.sum()) / patterns)


def _skill(model: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """One minus the ratio of mean scores; NaN where that of the reference is not positive."""
    usable = np.greater(reference, 0)
    return np.where(usable, 1 - np.divide(model, np.where(usable, reference, 1.0)), np.nan)


def _signed_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums with every pattern of signs, shape (2**n,)."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
