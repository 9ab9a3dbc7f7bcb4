import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from probtokens.fields import field_spec
from probtokens.models.meso import MesoTokens
from probtokens.report.reduce_tokens import Fit, GroupMaps, Parts, TokenMaps
from probtokens.report.reduce_traversal import Traversal
from probtokens.report.tokens import (
    adaptation_section,
    effect_posterior_reading,
    effect_reading,
    fit_reading,
    map_frames,
    maps_reading,
    parts_reading,
)
from probtokens.verify.token_pairs import MESO, meso_tokens, micro_tokens

EXTENT = (0.0, 1.0, 0.0, 1.0)
AREA = "hot-spot area"


def traversal(changes: tuple[float, ...]) -> Traversal:
    area = np.full((2, 5, 3), 0.5)
    area[0, :, :] = np.linspace(0.7, 0.3, 5)[:, None]
    return Traversal(
        spec=field_spec("temperature"),
        leads=(1, 2),
        times=np.array([0.5, 1.0]),
        extent=EXTENT,
        changes=np.array(changes),
        top=(1, 0),
        images=np.zeros((2, 5, 2, 4, 4)),
        truth=np.zeros((2, 4, 4)),
        area=area,
        true_area=np.array([0.2, 0.4, 0.6]),
    )


@pytest.mark.parametrize(("n_times", "frames"), [(41, [0, 4, 18, 40]), (25, [0, 3, 11, 24]), (3, [0, 1, 2]), (2, [0, 1])])
def test_map_frames(n_times: int, frames: list[int]) -> None:
    assert map_frames(n_times) == frames


def test_the_size_of_the_effect_is_told() -> None:
    (text,) = effect_reading(traversal((120.0, 160.0)), AREA)
    assert "direction 2 changes the temperature of the test simulations by 160 K" in text
    assert "area from 0.7 to 0.3 µm²; the truth has 0.4 µm²" in text


def parts(*shares: float, whole: float = 400.0) -> Parts:
    alone = {f"source {k}": np.array([0.0, share * whole]) for k, share in enumerate(shares)}
    return Parts(field_spec("temperature"), np.array([0.5, 1.0]), np.array([1.0, whole]), alone, 8, 2)


@pytest.mark.parametrize(("shares", "additive"), [((0.7, 0.25), True), ((0.7, 0.6), False), ((0.2, 0.3), False)])
def test_parts_of_the_variance_are_told_with_their_sum_and_cost(shares: tuple[float, float], additive: bool) -> None:
    text = " ".join(parts_reading(parts(*shares)))
    assert "as much work as a forecast of 48 draws" in text
    assert all(f"source {k} {100 * share:.0f} %" in text for k, share in enumerate(shares))
    assert f"Together that is {100 * sum(shares):.0f} %" in text
    assert ("act on each other" not in text) is additive
    assert "all the same" in parts_reading(parts(0.0, whole=0.0))[-1]


def test_fit_states_units_and_compression() -> None:
    text = " ".join(fit_reading([Fit(field_spec("temperature"), 18.15, 38.8), Fit(field_spec("solid_fraction"), 0.0137, 0.03)], 12.31, 8))
    assert "12.3 times fewer numbers than the 8 × 8 cells of 2 fields" in text
    assert "temperature 18.1 K (38.8 K); solid volume fraction 0.0137 (0.0300)" in text


def test_maps_state_how_sure_the_posterior_is() -> None:
    spread = np.array([0.1, 0.2, 0.9]).reshape(1, 1, 1, 3)
    group = GroupMaps("pressure", (2,), 3, np.zeros((1, 1, 1, 3)), spread, np.array([1.0]))
    text = " ".join(
        maps_reading(TokenMaps(field_spec("temperature"), np.zeros(1), EXTENT, np.zeros((1, 8, 24)), (group,), np.zeros((2, 3, 1, 1))))
    )
    assert "(1 of 3 shown)" in text
    assert "pressure 0.2 (at most 0.9)" in text


def test_effects_state_how_much_the_trajectory_tells() -> None:
    effect = np.stack([np.full((2, 1, 3), -0.1), np.full((2, 1, 3), 0.1)])
    effect[:, 0, 0, 0] *= 2
    maps = TokenMaps(field_spec("temperature"), np.zeros(1), EXTENT, np.zeros((1, 8, 24)), (), effect)
    text = " ".join(effect_posterior_reading(maps))
    assert "2 directions in 3 regions" in text
    assert "2 directions in 1 region;" in effect_posterior_reading(replace(maps, effect=effect[..., :1]))[0]
    assert "s.d. is 0.16 on average and 0.14 at least" in text


def test_what_the_simulations_changed_is_told_and_pictured() -> None:
    model = meso_tokens()
    head = model.adapted.index("networks.0.head.weight")
    first = sum(model.prior.sizes[:head])
    with torch.no_grad():
        model.posterior.changes[first : first + model.prior.sizes[head]] = 0.5
    section = adaptation_section(model)
    assert section.caption[0] == "Learned from 3 simulations; every draw of the forecast has its own weights."
    told = re.fullmatch(r"networks.0.head.weight changed most beside its prior, by (\d+) %.", section.caption[-1])
    assert told is not None
    assert abs(int(told[1]) - 50) < 5
    (axes,) = section.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == model.adapted
    assert "$" not in "".join(label.get_text() for label in axes.get_xticklabels(which="both"))


def test_without_simulations_the_posterior_is_told_to_be_of_none() -> None:
    section = adaptation_section(MesoTokens.of_prior(micro_tokens(), MESO))
    assert section.caption[0].startswith("Learned from no simulations;")
