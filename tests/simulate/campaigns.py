"""A campaign of four files that takes seconds."""

from pathlib import Path

from probtokens.config import CampaignConfig, Interval, MicrostructureConfig, PhysicsConfig
from probtokens.simulate.campaign import config_digest, plan
from probtokens.simulate.shard import ShardTask

PHYSICS = PhysicsConfig(compile=False)
CAMPAIGN = CampaignConfig(
    ny=16,
    nx=20,
    time_step=0.02,
    n_times=3,
    shock_pressure=Interval(low=9.0, high=12.0),
    microstructure=MicrostructureConfig(kinds=("ellipse",), diameter=Interval(low=0.2, high=0.25), margin=0.06),
    n_train=3,
    n_valid=1,
    n_test=1,
    shard_size=2,
)


def tasks_of(campaign: CampaignConfig, folder: Path) -> list[ShardTask]:
    """All shards of a campaign called ``micro`` with seed 7."""
    shards = plan(campaign, folder, 7)
    digest = config_digest("micro", campaign, PHYSICS, 7)
    return [ShardTask("micro", campaign, PHYSICS, shard, tuple(s.size for s in shards), digest) for shard in shards]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.hdf5"))}


def hidden(folder: Path) -> list[str]:
    """Names of what must not stay behind."""
    return [path.name for path in folder.rglob(".*") if path.is_file()]
