"""The report's sections on tokens: pictures with captions made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probtokens.evaluate.global_sites import weight_draws
from probtokens.models.meso import MesoTokens
from probtokens.report.facts import simulation_titles
from probtokens.report.reduce_tokens import (
    Fit,
    Parts,
    TokenMaps,
    compression,
    load_primary,
    reduce_fit,
    reduce_parts,
    reduce_reconstruction,
    reduce_token_maps,
)
from probtokens.report.reduce_traversal import VALUES, Traversal, reduce_traversal
from probtokens.report.run import Run
from probtokens.report.tables import format_score
from probtokens.report.token_figures import (
    adaptation_figure,
    effect_posterior_figure,
    parts_figure,
    reconstruction_figure,
    token_maps_figure,
)
from probtokens.report.traversal_figures import effect_figure, traversal_figure
from probtokens.report.wording import Wording, decimals
from probtokens.units import in_unit

_MAP_TIMES = 4

#: Draws of the adapted weights that are pictured.
_WEIGHT_DRAWS = 100

#: By how much parts of a variance may miss the whole and count as additive.
_ADDITIVE = 0.15
_TRAVERSAL_READING = (
    "Rollouts without noise from the first frame, with one direction of u set to the same value everywhere and for good; its prior is a "
    "standard normal.",
    "Left: the truth, and how far it is from the forecast with u = 0.",
)


@dataclass(frozen=True)
class Section:
    """A titled picture with a description for those who cannot see it and the sentences of its caption."""

    title: str
    description: str
    figure: Figure
    caption: tuple[str, ...]


def token_sections(run: Run, wording: Wording, frames: Sequence[int]) -> list[Section]:
    """Adaptation, reconstruction, token maps and traversal of the trajectory effect; none where the primary model has no tokens.

    Parameters
    ----------
    wording
        Words for the hot spots, whose field is the one pictured.
    frames
        Frames of the reconstruction; those of the film strip give it the film strip's colours.

    Raises
    ------
    ValueError
        If the model's file is missing, damaged or of another run; the message names it.
    """
    model, spec = load_primary(run), wording.spec
    if model is None:
        return []
    area = wording.curves["area"]
    simulation = f"Test simulation {simulation_titles(run)[run.simulation]}."
    maps = reduce_token_maps(run, model, spec, map_frames(run.rollouts[run.primary].sizes["time"]))
    traversal = reduce_traversal(run, model, wording.hotspot)
    adaptation = [adaptation_section(model)] if isinstance(model, MesoTokens) else []
    parts = reduce_parts(run, model, spec)
    return [
        Section(
            "Sources of uncertainty: what draws differ by",
            f"Share of the variance of {spec.label} that each source of the ensemble has alone, and its standard deviation, by time",
            parts_figure(parts),
            tuple(parts_reading(parts)),
        ),
        *adaptation,
        Section(
            "Reconstruction: frames through tokens and back, without a forecast",
            f"Truth, decoded mean, their difference and the decoder's standard deviation of {spec.label} at several times",
            reconstruction_figure(reduce_reconstruction(run, model, spec, frames)),
            (simulation, *fit_reading(reduce_fit(run, model), compression(model), model.patch)),
        ),
        Section(
            "Token maps: posterior of the tokens given the whole trajectory",
            "Posterior mean and standard deviation of the leading token channels of every field group at several times",
            token_maps_figure(maps),
            (simulation, *maps_reading(maps)),
        ),
        Section(
            "Trajectory effect: its posterior given the whole trajectory",
            "Posterior mean and standard deviation of every direction of the trajectory effect in every region, with the prior",
            effect_posterior_figure(maps),
            (simulation, *effect_posterior_reading(maps)),
        ),
        Section(
            "Latent traversal: what the trajectory effect u changes",
            f"{spec.label.capitalize()} for several values of the leading directions of the trajectory effect",
            traversal_figure(traversal),
            (simulation, *_TRAVERSAL_READING),
        ),
        Section(
            "How much it changes",
            f"Change of {spec.label} by every direction of the trajectory effect, and {area} against the leading ones",
            effect_figure(traversal, area),
            tuple(effect_reading(traversal, area)),
        ),
    ]


def parts_reading(parts: Parts) -> list[str]:
    """Sentences on what the variance comes from at the last lead, and on what it took to know."""
    whole, last = parts.whole[-1], {source: variance[-1] for source, variance in parts.alone.items()}
    runs = (len(last) + 1) * parts.n_simulations
    cost = (
        f"{parts.n_draws} draws of {parts.n_simulations} test simulation{'s' * (parts.n_simulations > 1)} for all "
        "sources and for each alone, means of all else: "
        f"as much work as a forecast of {runs * parts.n_draws} draws, before recalibration."
    )
    if not whole > 0:
        return [cost, "At the last lead the draws are all the same."]
    ordered = sorted(last.items(), key=lambda item: -item[1])
    shares = "; ".join(f"{source} {100 * variance / whole:.0f} %" for source, variance in ordered)
    total = sum(last.values()) / whole
    apart = "" if abs(total - 1) <= _ADDITIVE else ": the sources act on each other, or so few draws are not enough"
    return [
        cost,
        f"At {in_unit(decimals(parts.times[-1]), parts.time_unit)} the variance has, alone: {shares}.",
        f"Together that is {100 * total:.0f} % of the variance of all{apart}.",
    ]


def adaptation_section(model: MesoTokens) -> Section:
    """How far the posterior of the adapted weights is from its prior, kernel by kernel."""
    draws = weight_draws(model, draws=_WEIGHT_DRAWS)
    posterior, prior = (draws[group]["change"] for group in ("posterior", "prior"))
    return Section(
        "Adaptation: what the meso simulations changed",
        "Relative change of every kernel and bias of the transition, posterior over prior",
        adaptation_figure(model.adapted, posterior, prior),
        tuple(adaptation_reading(model.adapted, posterior, prior, model.population)),
    )


def adaptation_reading(
    names: Sequence[str], posterior: NDArray[np.floating], prior: NDArray[np.floating], population: tuple[int, int] | None
) -> list[str]:
    """Sentences on how far kernels and biases have changed, of draws (draw, block)."""
    learned, expected = np.median(posterior, axis=0), np.median(prior, axis=0)
    most = int(np.argmax(learned / expected))
    seen = "no simulations" if population is None else f"{population[0]} simulations"
    return [
        f"Learned from {seen}; every draw of the forecast has its own weights.",
        f"The median kernel or bias changed by {100 * np.median(learned):.2g} % of its root mean square, where the prior has "
        f"{100 * np.median(expected):.2g} %.",
        f"{names[most]} changed most beside its prior, by {100 * learned[most]:.2g} %.",
    ]


def map_frames(n_times: int) -> list[int]:
    """Frame numbers from the first to the last, closer together early, when pores collapse."""
    return sorted({round((n_times - 1) * (k / (_MAP_TIMES - 1)) ** 2) for k in range(_MAP_TIMES)})


def fit_reading(fits: Sequence[Fit], factor: float, patch: int) -> list[str]:
    """Sentences on compression and on errors over all test frames."""
    errors = [f"{fit.spec.label} {_number(fit.rmse, fit.spec.unit)} ({_number(fit.spread, fit.spec.unit)})" for fit in fits]
    return [
        f"A token holds {factor:.1f} times fewer numbers than the {patch} × {patch} cells of {len(fits)} fields that it stands for.",
        "RMSE of the decoded mean over all frames of all test simulations, in brackets the decoder's root-mean-square s.d., equal to it if "
        f"right: {'; '.join(errors)}.",
        "Difference and s.d. end at the same limit, square-root scales.",
    ]


def maps_reading(maps: TokenMaps) -> list[str]:
    """Sentences on what the maps show and on how sure the posterior is."""
    sure = [f"{group.label} {np.median(group.spread):.2g} (at most {group.spread.max():.2g})" for group in maps.groups]
    shown = [f"{len(group.channels)} of {group.n_channels}" for group in maps.groups]
    return [
        f"One row for each channel, those first without which the decoded fields change most ({', '.join(shown)} shown).",
        "In units of the tokens' standard deviation over all training patches before training; one square-root scale for each field group.",
        f"Median s.d. of the channels shown: {'; '.join(sure)}.",
    ]


def effect_posterior_reading(maps: TokenMaps) -> list[str]:
    """Sentences on what the trajectory says of its effect."""
    spread = maps.effect.std(axis=0, ddof=1)
    regions = spread[0].size
    return [
        f"u has {spread.shape[0]} directions in {regions} region{'s' * (regions != 1)}; its prior is a standard normal (band: one s.d.).",
        "Regions stand side by side at each direction, row by row from the bottom left.",
        f"The posterior's s.d. is {spread.mean():.2f} on average and {spread.min():.2f} at least: the less, the more the trajectory tells.",
    ]


def effect_reading(traversal: Traversal, area: str) -> list[str]:
    """A sentence on the size of the trajectory effect; ``area`` is what that of hot spots is called."""
    spec, leading, units = traversal.spec, traversal.top[0], traversal.units
    low, high, true = (areas.mean() for areas in (traversal.area[0, 0], traversal.area[0, -1], traversal.true_area))
    when = in_unit(decimals(traversal.times[-1]), units.time)
    return [
        f"At {when} direction {leading + 1} changes the {spec.label} of the test simulations by "
        f"{_number(traversal.changes[leading], spec.unit)} (root mean square) from u = −{-VALUES[0]:g} to +{VALUES[-1]:g}, and their mean "
        f"{area} from {low:.3g} to {in_unit(f'{high:.3g}', units.area)}; the truth has {in_unit(f'{true:.3g}', units.area)}."
    ]


def _number(value: float, unit: str) -> str:
    return in_unit(format_score(float(value)), unit)
