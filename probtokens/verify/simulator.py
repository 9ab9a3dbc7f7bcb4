"""The simulator's cases, from exact solutions of parts to convergence of the whole."""

from __future__ import annotations

from functools import partial

from probtokens.simulate.eos import LASL, MENIKOFF_SEWELL
from probtokens.verify.cavity import cavity_shock
from probtokens.verify.check import Case
from probtokens.verify.hugoniots import lasl_line, piston_shocks
from probtokens.verify.pore_collapse import collapse_convergence, frame_invariance, pore_closes
from probtokens.verify.reactions import arrhenius_reaction, reacting_flow, tarver_reaction
from probtokens.verify.shock_tubes import shock_tube
from probtokens.verify.transport import conservation, moving_interface, smooth_advection
from probtokens.verify.viscous import couette_heating, shear_layer, stress_tensor

_RIEMANN = "exact Riemann solution for stiffened gases (Toro 2009, ch. 4)"
_ODE = "scipy's Radau solver, constants of the paper"

CASES: tuple[Case, ...] = (
    Case("interface", "Isolated moving interface", "uniform p and u are an exact solution", moving_interface),
    Case("advection", "Smooth advection, order", "exact translation", smooth_advection),
    Case("conservation", "Mass, momentum and energy of a burning pore", "conservation laws", conservation),
    Case("sod", "Sod's tube, 400 cells", _RIEMANN, partial(shock_tube, "sod", 400)),
    Case("water_dense_air", "Water against dense air, 2000 cells", _RIEMANN, partial(shock_tube, "water_dense_air", 2000, compiled=True)),
    Case("water_air", "Water against air, 3000 cells", _RIEMANN, partial(shock_tube, "water_air", 3000, compiled=True)),
    Case(
        "hugoniot_menikoff_sewell",
        "Piston shocks in HMX, Menikoff–Sewell",
        "Rankine–Hugoniot relations, integrated anew",
        partial(piston_shocks, MENIKOFF_SEWELL),
    ),
    Case("hugoniot_lasl", "Piston shocks in HMX, LASL set", "Rankine–Hugoniot relations, integrated anew", partial(piston_shocks, LASL)),
    Case("lasl_line", "Piston shocks against the measured U_s–u_p line", "LASL Shock Hugoniot Data (Marsh 1980)", lasl_line),
    Case("stress", "Viscous stress and its work in a linear velocity field", "μ(∇u + ∇uᵀ − ⅔ div u)", stress_tensor),
    Case("couette", "Viscous heating in uniform shear", "μS²t/(ρ Cv)", couette_heating),
    Case("shear_layer", "Viscous shear layer", "U erf(x/√(4νt)) and the kinetic energy it loses", shear_layer),
    Case("tarver", "Three-step decomposition", f"{_ODE} (Tarver et al. 1996)", tarver_reaction),
    Case("reacting_flow", "Crystal that burns in a closed box", f"{_ODE} (Tarver et al. 1996)", reacting_flow),
    Case("arrhenius", "Single-step decomposition", f"{_ODE} (Henson et al. 2002)", arrhenius_reaction),
    Case("cavity", "Air cavity in water, Mach 1.72", "jump conditions; Riemann problem at the wall", cavity_shock),
    Case("pore_closes", "A pore in HMX closes", "no gas is left behind the jet", pore_closes),
    Case("frames", "The same pore near and far from the piston, and in the laboratory frame", "Galilean invariance", frame_invariance),
    Case("convergence", "Collapse time and hot-spot area on three grids", "the finest grid", collapse_convergence),
)
