"""Reactive-flow simulator: shocked porous HMX, from microstructures to files of trajectories."""

from probtokens.simulate.execute import reusable_shards, run_campaign
from probtokens.simulate.microstructure import pore_fraction
from probtokens.simulate.parallel import default_jobs
from probtokens.simulate.run import BatchResult, build_solver, run_batch
from probtokens.simulate.shard import failed_runs

__all__ = [
    "BatchResult",
    "build_solver",
    "default_jobs",
    "failed_runs",
    "pore_fraction",
    "reusable_shards",
    "run_batch",
    "run_campaign",
]
