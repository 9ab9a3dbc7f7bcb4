"""Reactive-flow simulator: shocked porous HMX, from microstructures to files of trajectories."""

from probtokens.simulate.campaign import run_campaign
from probtokens.simulate.microstructure import pore_fraction
from probtokens.simulate.run import BatchResult, build_solver, run_batch

__all__ = ["BatchResult", "build_solver", "pore_fraction", "run_batch", "run_campaign"]
