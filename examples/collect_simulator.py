"""Make what docs/simulator.md shows: pictures and numbers of the simulator and of the standard set.

probtokens verify simulator --json docs/results/simulator/verify.json
python examples/collect_simulator.py runs/standard docs/results/simulator

Campaign curves come from training and validation simulations; test simulations are left alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.optimize import brentq

from probtokens.config import Config, EvaluateConfig, Interval, MicrostructureConfig, PhysicsConfig, load_config
from probtokens.data import read_frames, read_info
from probtokens.data.atomic import replacing
from probtokens.evaluate.hotspots import hotspot_area, hotspot_mean
from probtokens.fields import Grid
from probtokens.report.simulator import campaign_curves_figure, frames_figure, hugoniot_figure, volume_figure
from probtokens.report.style import figure_style, png_bytes
from probtokens.simulate.eos import LASL, MENIKOFF_SEWELL, hugoniot
from probtokens.simulate.microstructure import pore_fraction
from probtokens.simulate.run import build_solver, run_batch
from probtokens.verify.hugoniots import LASL_LINE, PRESSURES

DPI = 110
PICTURED = ("temperature", "pressure", "solid_fraction")

#: Mean temperature above 875 K and area of hot spots in arXiv 2506.12996: time [ns], area [%], temperature [K].
LITERATURE = (np.array([2.8, 4.7, 6.7, 8.7, 10.7]), np.array([0.7, 1.9, 4.0, 7.2, 11.5]), np.array([1852, 2142, 2479, 3137, 3356]))

#: Heat of the three Tarver steps [kJ/g].
HEAT = 1400.0 * 4.184e-3


def save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(png_bytes(figure, DPI))


def simulated_hugoniots(verify: dict) -> Figure:
    """Piston shocks of the verification beside the Hugoniots of both parameter sets and the measured line."""
    sets = {"Menikoff–Sewell": (MENIKOFF_SEWELL, "hugoniot_menikoff_sewell"), "LASL set": (LASL, "hugoniot_lasl")}
    velocity = np.linspace(0.4, 2.5, 50)
    lines = {"LASL data, U_s = 2.901 + 2.058 u_p": (velocity, LASL_LINE[0] + LASL_LINE[1] * velocity)}
    points = {}
    cases = {case["name"]: case["checks"] for case in verify["cases"]}
    for label, (eos, name) in sets.items():
        shocks = [hugoniot(eos, pressure) for pressure in np.linspace(3.0, 31.0, 40)]
        lines[label] = tuple(np.array([(s.particle_velocity, s.shock_velocity) for s in shocks]).T)
        measured = [check["measured"] for check in cases[name] if check["quantity"].startswith("U_s")]
        points[label] = (np.array([hugoniot(eos, pressure).particle_velocity for pressure in PRESSURES]), np.array(measured))
    return hugoniot_figure(lines, points)


def tightest(checks: list[dict]) -> tuple[str, str, str]:
    """Quantity, error and tolerance of the check nearest to its limit; for a bound the value and the bound."""

    def use(check: dict) -> float:
        """Part of the allowance that is used."""
        if check["tolerance"] > 0:
            return abs(check["error"]) / check["tolerance"]
        ratio = float(check["measured"] / check["expected"])
        return ratio if check["relation"] == "at_most" else 1.0 / ratio

    check = max([check for check in checks if check["tolerance"] > 0] or checks, key=use)
    factor, unit = (100.0, "%") if check["relation"] == "relative" else (1.0, "" if check["unit"] == "1" else check["unit"])
    if check["tolerance"] > 0:
        return check["quantity"], *(f"{factor * check[key]:.2g} {unit}".strip() for key in ("error", "tolerance"))
    sign = "≤" if check["relation"] == "at_most" else "≥"
    return check["quantity"], f"{check['measured']:.3g} {unit}".strip(), f"{sign} {check['expected']:.3g} {unit}".strip()


def verification_table(verify: dict) -> str:
    """One row a case: number of checks and the one that comes nearest to its limit."""
    lines = ["# Verification of the simulator", "", "| case | reference | checks | nearest to its limit | error or value | limit |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for case in verify["cases"]:
        failed = sum(not check["passed"] for check in case["checks"])
        verdict = f"{len(case['checks'])}, all passed" if case["passed"] else f"{len(case['checks'])}, **{failed} failed**"
        lines.append(f"| `{case['name']}`: {case['title']} | {case['source']} | {verdict} | " + " | ".join(tightest(case["checks"])) + " |")
    hardware = verify["hardware"]
    lines += ["", f"Version {verify['version']}, torch {hardware['torch']}, {hardware['machine']}, {hardware['threads']} threads."]
    return "\n".join(lines) + "\n"


def single_pore(spacing: float) -> Figure:
    """An irregular pore at 10 GPa on cells of edge ``spacing`` [µm]."""
    physics = PhysicsConfig()
    grid = Grid(round(1.92 / spacing), round(2.88 / spacing), spacing, 0.125, n_times=21)
    config = MicrostructureConfig(kinds=("ellipse",), diameter=Interval(low=0.75, high=0.8))
    pore = pore_fraction(grid.ny, grid.nx, spacing, config, np.random.default_rng(5))
    result = run_batch(build_solver(physics, spacing), pore[None], np.array([10.0]), grid, physics)
    shown = np.array([1, 2, 3, 4, 8, 20])
    frames = {name: result.frames[name][0, shown] for name in PICTURED}
    return frames_figure(frames, shown * grid.time_step, (0.0, grid.nx * spacing, 0.0, grid.ny * spacing))


def burnt_volumes() -> tuple[Figure, dict]:
    """Crystal shocked to p and burnt at p: with the solid's equation of state, as simulated, and with a JWL one.

    JWL for HMX after Dobratz & Crawford, LLNL Explosives Handbook (1985); Q released at initial volume gives E0.
    """
    a, b, r1, r2, omega, energy, density = 778.28, 7.071, 4.2, 1.0, 0.30, 10.5, 1.891

    def solid(rho: float, p: float) -> float:
        c = MENIKOFF_SEWELL.affine(torch.tensor(rho, dtype=torch.float64))
        return float(c.energy_0 + c.energy_1 * p) / rho

    def jwl(rho: float, p: float) -> float:
        v = density / rho
        cold = a * (1 - omega / (r1 * v)) * np.exp(-r1 * v) + b * (1 - omega / (r2 * v)) * np.exp(-r2 * v)
        return (p - cold) * v / omega / density + HEAT - energy / density

    pressures = np.linspace(5.0, 30.0, 26)
    volumes: dict[str, list[float]] = {"shocked crystal": [], "burnt, as simulated": [], "burnt, JWL products": []}
    for p in pressures:
        shocked = hugoniot(MENIKOFF_SEWELL, float(p))
        enthalpy = solid(shocked.density, p) + p / shocked.density + HEAT
        volumes["shocked crystal"].append(1 / shocked.density)
        for label, e in (("burnt, as simulated", solid), ("burnt, JWL products", jwl)):
            volumes[label].append(1 / brentq(lambda rho, e=e, p=p, h=enthalpy: e(rho, p) + p / rho - h, 0.8, 3.2))
    table = {"pressure_GPa": pressures.tolist()} | {name.replace(" ", "_"): values for name, values in volumes.items()}
    ratio = np.array(volumes["burnt, JWL products"]) / np.array(volumes["burnt, as simulated"])
    table["jwl_per_simulated"] = ratio.tolist()
    return volume_figure(pressures, {name: np.array(values) for name, values in volumes.items()}), table


def campaign_curves(folder: Path, config: Config) -> tuple[Figure, dict]:
    """Hot spots of both scales' training and validation simulations."""
    threshold, curves, table = EvaluateConfig().hotspot_threshold, {}, {}
    for scale in ("micro", "meso"):
        area, temperature = [], []
        for path in sorted(p for split in ("train", "valid") for p in (folder / "data" / scale / split).glob("*.hdf5")):
            info = read_info(path)
            for simulation in range(info.n_simulations):
                frames = read_frames(info, simulation, ("temperature",))[:, 0]
                domain = info.grid.ny * info.grid.nx * info.grid.cell_area
                area.append(100 * hotspot_area(frames, threshold, info.grid.cell_area) / domain)
                temperature.append(hotspot_mean(frames, threshold))
        times = np.arange(info.grid.n_times) * info.grid.time_step
        curves[scale] = (times, np.array(area), np.array(temperature))
        table[scale] = {
            "simulations": len(area),
            "times_ns": times.tolist(),
            **{
                f"{name}_{key}": reduce(values, axis=0).round(3).tolist()
                for name, values in (("area_percent", np.array(area)), ("temperature_K", np.array(temperature)))
                for key, reduce in (("mean", np.mean), ("min", np.min), ("max", np.max))
            },
        }
    return campaign_curves_figure(curves, LITERATURE), table


def meso_frames(folder: Path) -> Figure:
    """The validation simulation of the meso campaign that has most void."""
    infos = [read_info(path) for path in sorted((folder / "data" / "meso" / "valid").glob("*.hdf5"))]
    runs = [(info, simulation) for info in infos for simulation in range(info.n_simulations)]
    info, simulation = min(runs, key=lambda run: float(read_frames(*run, ("solid_fraction",))[0].mean()))
    shown = np.linspace(2, info.grid.n_times - 1, 6).round().astype(int)
    frames = read_frames(info, simulation, PICTURED)
    extent = (0.0, info.grid.nx * info.grid.spacing, 0.0, info.grid.ny * info.grid.spacing)
    return frames_figure({name: frames[shown, i] for i, name in enumerate(PICTURED)}, shown * info.grid.time_step, extent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder with simulated campaigns, preview and coverage")
    parser.add_argument("out", type=Path, help="folder with verify.json that receives the pictures")
    parser.add_argument("--spacing", type=float, default=0.02, help="cells of the pictured pore [µm]")
    args = parser.parse_args()

    config = load_config(args.run / "config.yaml")
    args.out.mkdir(parents=True, exist_ok=True)
    verify = json.loads((args.out / "verify.json").read_text(encoding="utf-8"))
    (args.out / "verify.md").write_text(verification_table(verify), encoding="utf-8")
    with figure_style():
        save(simulated_hugoniots(verify), args.out / "hugoniots.png")
        save(single_pore(args.spacing), args.out / "single_pore.png")
        save(meso_frames(args.run), args.out / "meso_frames.png")
        volumes, volume_table = burnt_volumes()
        save(volumes, args.out / "burnt_volumes.png")
        curves, curve_table = campaign_curves(args.run, config)
        save(curves, args.out / "campaign_curves.png")
    numbers = {"burnt_volumes": volume_table, "campaign_curves": curve_table}
    (args.out / "numbers.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    shutil.copy(args.run / "config.yaml", args.out / "config.yaml")
    for scale in ("micro", "meso"):
        shutil.copy(args.run / "preview" / f"{scale}.png", args.out / f"microstructures_{scale}.png")
    for name in ("coverage.png", "coverage.json"):
        shutil.copy(args.run / "coverage" / name, args.out / name)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
