"""Speed, always as ratios of things timed side by side in one run: ``python -m benchmarks``."""

import probtokens  # noqa: F401 - before torch, whose threads then wait as those of the command do
