"""Whether micro simulations cover the states that meso simulations visit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probtokens.config import TokenConfig
from probtokens.data import TrajectorySet
from probtokens.evaluate.coverage_scan import CoverageMap, Population, Scan, worst_late_frame
from probtokens.evaluate.field_histograms import REGIONS, FieldHistograms, compare_counts, field_ranges, temperature_index
from probtokens.evaluate.token_support import (
    MIN_TOKENS,
    QUANTILE,
    LinearTokens,
    Reference,
    share_interval,
)

#: A stratum is covered if at most this share of its meso tokens lies beyond the threshold: five times what simulations have of
#: each other. One that was not used for it can well have two or three times as much.
MAX_BEYOND = 0.05

Array = NDArray[np.floating]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SampleSizes:
    """Most tokens of each stratum in the reference, and of each that are compared with it."""

    reference: int = 20_000
    queries: int = 20_000


@dataclass(frozen=True)
class StratumCoverage:
    """Support and reconstruction of one kind of patch; NaN where there is too little to say.

    Attributes
    ----------
    name
        Kind of patch.
    micro_tokens, control_tokens, meso_tokens
        Tokens of micro training, held-out micro and meso frames, before sampling.
    micro_simulations, control_simulations, meso_simulations
        Simulations that those are from.
    threshold
        Distance that 99 % of tokens keep to other simulations of their own scale, in standard deviations of a token channel;
        the smaller one of micro training and meso.
    control_beyond, meso_beyond
        Share of held-out micro and of meso tokens that are farther from micro training.
    meso_interval
        90 % interval of ``meso_beyond`` over simulations.
    rmse_control, rmse_meso
        Temperature error of reconstruction by linear tokens [K].
    verdict
        ``"covered"``, ``"not covered"``, ``"undecided"`` where the interval holds the limit, ``"too few"`` meso tokens.
    """

    name: str
    micro_tokens: int
    control_tokens: int
    meso_tokens: int
    micro_simulations: int
    control_simulations: int
    meso_simulations: int
    threshold: float
    control_beyond: float
    meso_beyond: float
    meso_interval: tuple[float, float]
    rmse_control: float
    rmse_meso: float
    verdict: str


@dataclass(frozen=True)
class Coverage:
    """What :func:`measure_coverage` found.

    Attributes
    ----------
    numbers
        Everything worth keeping, JSON-like but for NaN.
    strata
        Coldest first.
    histograms
        Histograms of ``"micro"`` (training), ``"control"`` (held-out micro) and ``"meso"`` cells.
    distances
        Distances of the sampled tokens of ``"control"`` and ``"meso"`` for each stratum, as multiples of its threshold.
    map
        Where meso tokens are not supported.
    """

    numbers: Mapping[str, Any]
    strata: tuple[StratumCoverage, ...]
    histograms: Mapping[str, FieldHistograms] = field(repr=False)
    distances: Mapping[str, tuple[Array, ...]] = field(repr=False)
    map: CoverageMap = field(repr=False)

    def with_verdict(self, verdict: str) -> tuple[str, ...]:
        """Names of the strata of this verdict."""
        return tuple(stratum.name for stratum in self.strata if stratum.verdict == verdict)


def measure_coverage(
    micro: TrajectorySet,
    control: TrajectorySet,
    meso: Mapping[str, TrajectorySet],
    tokens: TokenConfig,
    *,
    threshold: float,
    seed: int,
    sizes: SampleSizes | None = None,
    progress: Progress = lambda done, total, text: None,
) -> Coverage:
    """Compare the states of meso simulations with those of micro simulations, field by field and token by token.

    Tokens are the linear code that training starts from, fitted on ``micro``; a random sample of those of ``micro`` is the
    reference. A stratum is covered if at most 5 % of its meso tokens are farther from the reference than the threshold, within
    which 99 % of tokens have one of another simulation of their own scale. That of micro training finds states that micro
    lacks, that of meso also states which micro visits too rarely to tell them apart; the smaller one holds. Held-out micro
    tokens are the control. They are too few to set a threshold: their 99 % quantile changes severalfold with which they are.
    One trajectory is in memory at a time, besides the samples.

    What this says is used to choose the micro campaign. Test simulations may not choose anything: leave them out.

    Parameters
    ----------
    micro, control
        Micro training simulations, and held-out ones of the same campaign.
    meso
        Training and validation simulations, by split.
    tokens
        Token lattice of the recipe.
    threshold
        Temperature above which a cell is hot [K].
    seed
        Seed of the samples and intervals.

    Raises
    ------
    ValueError
        If a set is empty, has no temperature, other fields, cells or frame steps than ``micro``, a grid that is no multiple
        of the patch, or ``micro`` or ``meso`` is a single simulation.
    """
    sizes = sizes or SampleSizes()
    _check_sets(micro, {"held-out micro": control} | {f"meso {name}": trajectories for name, trajectories in meso.items()})
    populations = {"micro": [micro], "control": [control], "meso": list(meso.values())}
    progress(0, 6, "linear tokens")
    code = LinearTokens(tokens, micro)
    progress(1, 6, "ranges")
    scan = Scan(code, field_ranges([micro, control, *meso.values()]), temperature_index(micro), threshold, seed)
    found = {}
    for number, (name, sets) in enumerate(populations.items()):
        progress(2 + number, 6, f"{name} frames")
        found[name] = scan(number, sets, sizes.reference if name == "micro" else sizes.queries)
    progress(5, 6, "distances")
    reference = Reference(found["micro"].samples)
    distances = {name: [reference.distances(sample.tokens) for sample in found[name].samples] for name in ("control", "meso")}
    setters = {"micro": reference, "meso": Reference(found["meso"].samples)}
    strata = _strata(found, distances, setters, scan.strata.names, seed)
    limits = np.array([stratum.threshold for stratum in strata])
    settings = {
        "criterion": {"quantile": QUANTILE, "max_beyond": MAX_BEYOND, "min_tokens": MIN_TOKENS, "hot_spot_threshold": threshold},
        "samples": {"seed": seed, "tokens_per_stratum": asdict(sizes)},
        "simulations": {"micro": len(micro), "control": len(control), **{f"meso_{name}": len(part) for name, part in meso.items()}},
    }
    return Coverage(
        numbers=settings | _numbers(found, strata, micro, slice(scan.strata.n_cold, None)),
        strata=strata,
        histograms={name: population.histograms for name, population in found.items()},
        distances={name: tuple(part / limit for part, limit in zip(parts, limits, strict=True)) for name, parts in distances.items()},
        map=worst_late_frame(scan, reference, limits, meso),
    )


def _check_sets(micro: TrajectorySet, others: Mapping[str, TrajectorySet]) -> None:
    for name, trajectories in {"micro": micro, **others}.items():
        if len(trajectories) == 0:
            raise ValueError(f"coverage: {name}: expected simulations, got none")
        if trajectories.fields != micro.fields:
            wanted, got = ([spec.name for spec in found.fields] for found in (micro, trajectories))
            raise ValueError(f"coverage: {name}: expected the fields {wanted} of micro training, got {got}")
        if not trajectories.grid.compatible_with(micro.grid):
            raise ValueError(f"coverage: {name}: expected cells and frame step of micro training, {micro.grid}, got {trajectories.grid}")


def _strata(
    found: Mapping[str, Population],
    distances: Mapping[str, Sequence[Array]],
    setters: Mapping[str, Reference],
    names: Sequence[str],
    seed: int,
) -> tuple[StratumCoverage, ...]:
    control, meso = found["control"], found["meso"]
    limits = np.fmin(setters["micro"].thresholds, setters["meso"].thresholds)
    strata = []
    for k, (name, limit) in enumerate(zip(names, limits, strict=True)):
        beyond, interval = _share(~(distances["meso"][k] <= limit)), (float("nan"), float("nan"))
        if meso.samples[k].seen >= MIN_TOKENS:
            rng = np.random.default_rng((seed, len(found), k))
            pairs = [(setter.left_out[k], found[part].samples[k].simulations) for part, setter in setters.items()]
            enough = [pair for pair in pairs if len(pair[0]) >= MIN_TOKENS]
            interval = share_interval(enough, distances["meso"][k], meso.samples[k].simulations, rng)
        strata.append(
            StratumCoverage(
                name=name,
                **{f"{part}_tokens": population.samples[k].seen for part, population in found.items()},
                **{f"{part}_simulations": population.samples[k].sources for part, population in found.items()},
                threshold=float(limit),
                control_beyond=_share(~(distances["control"][k] <= limit)),
                meso_beyond=beyond,
                meso_interval=interval,
                rmse_control=control.rmse(slice(k, k + 1)),
                rmse_meso=meso.rmse(slice(k, k + 1)),
                verdict=_verdict(meso.samples[k].seen, beyond, interval),
            )
        )
    return tuple(strata)


def _verdict(tokens: int, beyond: float, interval: tuple[float, float]) -> str:
    if tokens < MIN_TOKENS:
        return "too few"
    if interval[0] <= MAX_BEYOND < interval[1]:
        return "undecided"
    return "covered" if beyond <= MAX_BEYOND else "not covered"


def _numbers(found: Mapping[str, Population], strata: Sequence[StratumCoverage], micro: TrajectorySet, hot: slice) -> dict[str, Any]:
    return {
        "verdicts": {stratum.name: stratum.verdict for stratum in strata},
        "tokens": {
            "control_beyond": _overall([stratum.control_beyond for stratum in strata], found["control"].seen),
            "meso_beyond": _overall([stratum.meso_beyond for stratum in strata], found["meso"].seen),
            "strata": [asdict(stratum) for stratum in strata],
        },
        "reconstruction": {
            region: _errors(found["control"].rmse(chosen), found["meso"].rmse(chosen))
            for region, chosen in zip(REGIONS, (slice(None), hot), strict=True)
        },
        "fields": {spec.name: _field_numbers(found, k, spec.unit) for k, spec in enumerate(micro.fields)},
    }


def _overall(shares: Sequence[float], tokens: NDArray[np.int64]) -> float:
    """Share of all tokens, from those of strata that were sampled apart."""
    return float(sum(share * count for share, count in zip(shares, tokens, strict=True) if count) / tokens.sum())


def _errors(control: float, meso: float) -> dict[str, float]:
    return {"rmse_control": control, "rmse_meso": meso, "ratio": meso / control if control else float("nan")}


def _field_numbers(found: Mapping[str, Population], k: int, unit: str) -> dict[str, Any]:
    counts = {name: population.histograms.counts for name, population in found.items()}
    regions: dict[str, Any] = {
        region: {name: asdict(compare_counts(counts["micro"][r, k], counts[name][r, k])) for name in ("control", "meso")}
        for r, region in enumerate(REGIONS)
    }
    return {"unit": unit, **regions}


def _share(mask: NDArray[np.bool_]) -> float:
    return float(mask.mean()) if mask.size else float("nan")
