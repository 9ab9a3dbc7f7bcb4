"""Decomposition: energy, bounds, choice; rates are compared with a stiff ODE solver in tests/verify."""

import pytest
import torch

from probtokens.simulate.kinetics import Arrhenius, Fractions, Tarver, hmx_kinetics

CV = 1.5e-3


MODELS = [Tarver(), Arrhenius()]


@pytest.mark.parametrize("kinetics", MODELS)
def test_energy_released_in_full_is_the_sum_of_the_heats(kinetics):
    one = torch.ones(())
    assert float(kinetics.chemical_energy(Fractions(one, 0 * one, 0 * one))) == pytest.approx(1400 * 4.184e-3)


@pytest.mark.parametrize("kinetics", MODELS)
def test_fractions_stay_in_bounds_for_any_temperature_and_step(kinetics):
    temperature = torch.linspace(-500.0, 20000.0, 200)
    fractions = Fractions(torch.full((200,), 0.5), torch.full((200,), 0.3), torch.full((200,), 0.1))
    for step in (1e-4, 1e-2, 10.0):
        new = kinetics.advance(fractions, temperature, CV, torch.tensor(step))
        assert all(((value >= 0.0) & (value <= 1.0)).all() for value in new)
        assert (sum(new) <= 1.0 + 1e-6).all()


def test_kinetics_are_chosen_by_name():
    assert isinstance(hmx_kinetics("tarver"), Tarver)
    assert isinstance(hmx_kinetics("arrhenius"), Arrhenius)
    assert hmx_kinetics("none") is None
    with pytest.raises(ValueError, match="expected one of"):
        hmx_kinetics("jwl++")  # type: ignore[arg-type]
