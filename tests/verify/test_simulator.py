"""The simulator against its references, and wrong models that must fail."""

import dataclasses

import numpy as np
import pytest

from probtokens.config import PhysicsConfig
from probtokens.simulate.eos import LASL, MENIKOFF_SEWELL, hugoniot
from probtokens.simulate.kinetics import Arrhenius, Tarver
from probtokens.verify.cavity import behind_shock
from probtokens.verify.exact_riemann import solve
from probtokens.verify.hugoniots import PRESSURES, lasl_line, piston_shocks, rankine_hugoniot
from probtokens.verify.pore_collapse import pore_closes
from probtokens.verify.reactions import arrhenius_reaction, tarver_reaction
from probtokens.verify.shock_tubes import TUBES, shock_tube
from probtokens.verify.simulator import CASES
from probtokens.verify.tracking import first_rise, last_fall
from probtokens.verify.viscous import couette_heating, shear_layer

_SLOW = {
    "advection",
    "water_dense_air",
    "water_air",
    "hugoniot_menikoff_sewell",
    "hugoniot_lasl",
    "lasl_line",
    "cavity",
    "reacting_flow",
    "frames",
    "convergence",
}
EAGER = PhysicsConfig(compile=False)


def failures(checks) -> list[str]:
    return [f"{check.quantity}: expected {check.expected}, got {check.measured}" for check in checks if not check.passed]


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[pytest.mark.slow] * (case.name in _SLOW)) for case in CASES if case.name != "pore_closes"],
)
@pytest.mark.timeout(600)
def test_case_passes(case):
    checks = case.run()
    assert len(checks) > 1
    assert not failures(checks)


@pytest.mark.slow
def test_pores_close_with_kapilas_term_and_not_without():
    assert not failures(pore_closes(EAGER))
    assert len(failures(pore_closes(EAGER.model_copy(update={"kapila": False})))) == 3


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"bulk": 14.7 * 1.03}, {"gruneisen": 0.9}, {"bulk_prime": 8.2}])
def test_wrong_constant_of_the_equation_of_state_fails_the_hugoniot(change):
    wrong = dataclasses.replace(MENIKOFF_SEWELL, **change)
    failed = failures(piston_shocks(MENIKOFF_SEWELL, simulated=wrong))
    assert any(line.startswith("U_s") for line in failed)


@pytest.mark.slow
def test_the_other_parameter_set_does_not_pass_for_the_measured_line():
    assert failures(lasl_line(MENIKOFF_SEWELL))


@pytest.mark.slow
def test_coarse_tube_with_too_narrow_a_tolerance_fails():
    assert failures(shock_tube("water_air", 200))


@pytest.mark.parametrize("verify", [couette_heating, shear_layer])
def test_wrong_viscosity_fails(verify):
    assert failures(verify(viscosity=0.1, simulated=0.095))


@pytest.mark.parametrize(
    "wrong",
    [Tarver(activation=(52.7, 44.1, 34.5)), pytest.param(Tarver(heats=(100.0, -300.0, -1100.0)), marks=pytest.mark.slow)],
    ids=["activation", "heats"],
)
def test_wrong_kinetics_of_three_steps_fail(wrong):
    assert failures(tarver_reaction(wrong))


def test_wrong_kinetics_of_one_step_fail():
    assert failures(arrhenius_reaction(Arrhenius(activation_temperature=18100.0)))


@pytest.mark.parametrize("eos", [MENIKOFF_SEWELL, LASL])
@pytest.mark.parametrize("pressure", PRESSURES)
def test_package_and_reference_agree_on_the_hugoniot(eos, pressure):
    """Closed-form energies and bisection on one side, quadrature and Brent's method on the other."""
    one, two = hugoniot(eos, pressure), rankine_hugoniot(eos, pressure)
    assert dataclasses.asdict(one) == pytest.approx(dataclasses.asdict(two), rel=1e-8)


@pytest.mark.parametrize("name", TUBES)
def test_exact_solver_reproduces_published_star_states(name):
    tube, published = TUBES[name]
    star = solve(tube.left, tube.right)
    got = (star.pressure, star.velocity, star.left_density, star.right_density, star.shock)
    assert got == pytest.approx(dataclasses.astuple(published), rel=1e-5)


def test_exact_solver_refuses_other_wave_patterns():
    tube, _ = TUBES["sod"]
    with pytest.raises(ValueError, match="Riemann problem"):
        solve(tube.right, tube.left)


def test_jump_conditions_give_the_published_shock_in_water():
    assert behind_shock() == pytest.approx((1.915, 1.3248, 0.6852, 2.7949), rel=2e-4)


def test_fronts_are_found_between_cells():
    profile = np.array([5.0, 5.0, 5.0, 4.0, 1.0, 1.0])
    assert last_fall(profile, 2.5, spacing=0.1) == pytest.approx(0.40)
    assert first_rise(profile[::-1], 2.5, spacing=0.1) == pytest.approx(0.20)
    with pytest.raises(ValueError, match="falls through"):
        last_fall(profile, 6.0, spacing=0.1)
    with pytest.raises(ValueError, match="falls through"):
        last_fall(profile, 0.5, spacing=0.1)
