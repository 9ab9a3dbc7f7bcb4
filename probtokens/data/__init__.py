"""Simulations on disk, as trajectories, and as normalised batches."""

from probtokens.data.agreement import require_agreement
from probtokens.data.dataset import Batch, StepSampler, WindowDataset
from probtokens.data.duplicates import find_duplicates
from probtokens.data.normalize import Normalizer
from probtokens.data.splits import split_folder, split_simulations, subset_order
from probtokens.data.stats import write_stats
from probtokens.data.the_well import ShardInfo, read_frames, read_info, read_scalar, write_shard
from probtokens.data.trajectories import TrajectorySet

__all__ = [
    "Batch",
    "Normalizer",
    "ShardInfo",
    "StepSampler",
    "TrajectorySet",
    "WindowDataset",
    "find_duplicates",
    "read_frames",
    "read_info",
    "read_scalar",
    "require_agreement",
    "split_folder",
    "split_simulations",
    "subset_order",
    "write_shard",
    "write_stats",
]
