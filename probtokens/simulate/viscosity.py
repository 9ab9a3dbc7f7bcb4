"""Newtonian shear viscosity of the condensed phase, with its heating."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from probtokens.simulate.mixture import Primitive


class ViscousFlux(NamedTuple):
    """Fluxes of momentum and energy through the faces of one axis."""

    momentum_x: Tensor
    momentum_y: Tensor
    energy: Tensor


def viscous_flux(cells: Primitive, viscosity: float, reference_density: float, spacing: float, dim: int) -> ViscousFlux:
    """Flux −τ and −τ·u through faces normal to ``dim``, τ = μ(∇u + ∇uᵀ − ⅔ div u).

    A cell has μ·min(1, α₁ρ₁/ρ₀): neither a gas-filled pore nor expanded products carry shear as the
    dense phase does. A face takes the smaller of its neighbours', which bounds the kinematic
    viscosity of every cell by μ/ρ₀. Work of τ enters the energy flux, so kinetic energy lost to
    friction heats the cell.

    Parameters
    ----------
    cells
        Primitive variables (batch, ny + 4, nx + 4).
    viscosity
        μ [Pa·s], equal to GPa·ns.
    reference_density
        ρ₀ [g/cm³].
    spacing
        Cell edge [µm].
    dim
        −1: returns (batch, ny, nx + 1); −2: (batch, ny + 1, nx).
    """
    across = -2 if dim == -1 else -1
    # Rows that contribute: interior along `across` plus one neighbour on either side.
    rows = cells.gas.shape[across] - 4
    n = cells.gas.shape[dim] - 4

    def pair(value: Tensor) -> tuple[Tensor, Tensor]:
        return value.narrow(dim, 1, n + 1), value.narrow(dim, 2, n + 1)

    def interior(value: Tensor) -> Tensor:
        return value.narrow(across, 2, rows)

    def along(value: Tensor) -> Tensor:
        a, b = pair(interior(value))
        return (b - a) / spacing

    def cross(value: Tensor) -> Tensor:
        a, b = pair(value)
        mean = 0.5 * (a + b)
        return (mean.narrow(across, 3, rows) - mean.narrow(across, 1, rows)) / (2.0 * spacing)

    normal, transverse = (cells.velocity_x, cells.velocity_y) if dim == -1 else (cells.velocity_y, cells.velocity_x)
    solid_mass = torch.minimum(*pair(interior((1.0 - cells.gas) * cells.solid_density)))
    mu = viscosity * (solid_mass / reference_density).clamp_max(1.0)
    stretch = along(normal)
    stress_normal = mu * (2.0 * stretch - (2.0 / 3.0) * (stretch + cross(transverse)))
    stress_shear = mu * (along(transverse) + cross(normal))
    normal_face = 0.5 * sum(pair(interior(normal)))
    transverse_face = 0.5 * sum(pair(interior(transverse)))
    work = stress_normal * normal_face + stress_shear * transverse_face
    if dim == -1:
        return ViscousFlux(-stress_normal, -stress_shear, -work)
    return ViscousFlux(-stress_shear, -stress_normal, -work)
