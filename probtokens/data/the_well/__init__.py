"""Simulations in The Well's HDF5 layout: atomic writing, description, lazy reading."""

from probtokens.data.the_well.info import SHARD_SUFFIXES, ShardInfo, is_shard, read_info
from probtokens.data.the_well.reader import read_frames, read_scalar, read_scalar_as_stored
from probtokens.data.the_well.writer import write_shard

__all__ = ["SHARD_SUFFIXES", "ShardInfo", "is_shard", "read_frames", "read_info", "read_scalar", "read_scalar_as_stored", "write_shard"]
