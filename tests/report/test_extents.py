"""Figures of many fields whose names have 40 characters: no text over another, none outside."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from matplotlib.figure import Figure

from probtokens.evaluate import compare_documents
from probtokens.fields import FieldSpec, HotSpot
from probtokens.report.animation import animation_frames
from probtokens.report.comparison import comparison_figure
from probtokens.report.curves import curves_figure, physics_figure
from probtokens.report.filmstrip import cases_figure, filmstrip_figure
from probtokens.report.lead_calibration import lead_calibration_figure, verdict_figure
from probtokens.report.reduce import LEVELS, N_BINS, Reliability, Strip
from probtokens.report.reduce_tokens import GroupMaps, Parts, Reconstruction, TokenMaps
from probtokens.report.reduce_traversal import Traversal
from probtokens.report.reliability import calibration_figure, lead_figure
from probtokens.report.style import figure_style, new_figure, with_unit
from probtokens.report.token_figures import parts_figure, reconstruction_figure, token_maps_figure
from probtokens.report.traversal_figures import effect_figure, traversal_figure
from probtokens.report.verdict import judge
from probtokens.report.wording import Wording
from tests.report.extents import faults
from tests.report.made_up import document

WORDS = ("temperature", "pressure", "density", "velocity", "energy", "entropy", "fraction", "concentration")
NAMES = [f"{word}_of_the_second_phase_behind_the_front"[:39] + "x" for word in WORDS]
UNBROKEN = "w" * 40
TITLES = [f"shard_0000_of_the_second_campaign/{number} · 13.5 GPa" for number in range(8)]
EXTENT = (0.0, 3.0, 0.0, 2.0)


def specs() -> list[FieldSpec]:
    return [FieldSpec(name, "kg/m³", name.replace("_", " ")) for name in (*NAMES[:-1], UNBROKEN)]


def strip(spec: FieldSpec, n_times: int = 6) -> Strip:
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(n_times, 16, 24))
    draws = rng.uniform(size=(2, n_times, 16, 24))
    return Strip(spec, np.linspace(0.5, 3.0, n_times), EXTENT, images, images, draws, images, images, images, 0.5)


def figures() -> Iterator[tuple[str, Callable[[], Figure]]]:
    fields = specs()
    hot, rng = fields[0], np.random.default_rng(0)
    scores = document({spec.name: spec.unit for spec in fields}, HotSpot(hot.name, 0.25), ("tokens", "micro_tokens", "parc", "persistence"))
    models, wording = scores["models"], Wording.of(scores)
    reliability = [Reliability(spec, {"raw": LEVELS}, {"raw": np.ones(N_BINS)}) for spec in fields]
    physics = {quantity.name: with_unit(quantity.label, quantity.unit) for quantity in wording.physics}
    maps, times = rng.normal(size=(2, 4, 4, 6)), np.linspace(0.5, 2.0, 4)
    frames = rng.uniform(size=(4, 16, 24))
    alone = {
        source: np.array([10.0, 20.0, 30.0, 20.0]) for source in ("view", "initial state", "process noise", "weights", "decoder noise")
    }
    area = rng.uniform(size=(2, 5, 3))
    effect = Traversal(
        hot, (1, 2), times[:2], EXTENT, np.arange(3.0), (1, 0), rng.normal(size=(2, 5, 2, 16, 24)), frames[:2], area, area[0, 0]
    )
    yield "verdict", lambda: verdict_figure(judge(scores, "tokens", fields))
    yield "strip", lambda: filmstrip_figure(strip(hot), "a rival with a name of forty characters")
    yield "cases", lambda: cases_figure({name: strip(hot, 4) for name in ("best", "median", "worst")})
    yield "curves", lambda: curves_figure(scores, "tokens", "parc", TITLES)
    yield "physics", lambda: physics_figure(scores, "tokens", 0, physics)
    yield "calibration", lambda: calibration_figure(reliability, "#000000")
    yield "leads", lambda: lead_figure(models, fields, wording)
    yield "calibration by lead", lambda: lead_calibration_figure(models["tokens"], fields, wording)
    yield "parts", lambda: parts_figure(Parts(hot, times, np.full(4, 100.0), alone, 8, 2))
    yield "reconstruction", lambda: reconstruction_figure(Reconstruction(hot, times, EXTENT, frames, frames + 0.1, frames))
    groups = tuple(GroupMaps(spec.label, (1, 2), 4, maps, np.abs(maps), np.ones(2)) for spec in fields[:2])
    yield "maps", lambda: token_maps_figure(TokenMaps(hot, times, EXTENT, frames, groups, np.zeros((2, 3, 1, 1))))
    yield "traversal", lambda: traversal_figure(effect)
    yield "effect", lambda: effect_figure(effect, wording.curves["area"])
    labels = {(quantity.part, quantity.name): quantity.label for quantity in wording.quantities(fields)}
    pairs = [pair for pair in compare_documents(scores, scores) if (pair.part, pair.name) in labels]
    yield "comparison", lambda: comparison_figure(pairs, labels, ("a_run_with_a_name_of_forty_characters_xx",) * 2)


@pytest.mark.parametrize(("name", "draw"), list(figures()), ids=[name for name, _ in figures()])
def test_no_text_is_over_another_or_outside(name: str, draw: Callable[[], Figure]) -> None:
    with figure_style():
        assert faults(draw()) == []
        assert name


@pytest.mark.parametrize("size", [(12.0, 1.5), (300.0, 300.0), (0.0015, 0.0012)])
@pytest.mark.parametrize("ends", [(300.0, 400.0), (300.0, 4000.0), (0.06, 0.0604), (1800.0, 1800.5), (1e9, 3e9)])
def test_flat_domains_and_narrow_ranges_keep_their_labels_apart(size: tuple[float, float], ends: tuple[float, float]) -> None:
    images = np.random.default_rng(0).uniform(*ends, size=(3, 8, 64))
    extent = (0.0, size[0], 0.0, size[1])
    made = Strip(FieldSpec("temperature", "K"), np.arange(3.0), extent, images, images, images[:0, None], None, None, None, 0.5)
    with figure_style():
        figure = filmstrip_figure(made)
        assert faults(figure) == []
        bars = [axes for axes in figure.axes if not axes.images]
        assert len(bars) == 2
        assert not any("+" in axes.yaxis.get_offset_text().get_text() for axes in bars)


def test_width_is_that_of_a_page_whatever_the_number_of_fields() -> None:
    with figure_style():
        assert all(draw().get_figwidth() <= 14 for name, draw in figures() if name not in ("maps", "traversal"))


def test_texts_that_collide_or_leave_are_found() -> None:
    with figure_style():
        figure = new_figure(2.0, 1.0)
        figure.text(0.1, 0.5, "one")
        assert faults(figure) == []
        figure.text(0.12, 0.5, "other")
        figure.text(0.8, 0.1, "far too long to end inside")
        assert faults(figure) == ["'far too long to end inside' leaves the figure", "'one' over 'other'"]


def test_the_animation_survives_a_long_name() -> None:
    with figure_style():
        assert len({frame.size for frame in animation_frames(strip(specs()[0], 2))}) == 1
