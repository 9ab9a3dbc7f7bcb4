"""Reference forecasters that the token models are measured against."""

from probtokens.baselines.mld import Mld
from probtokens.baselines.parc import Parc
from probtokens.baselines.persistence import Persistence

__all__ = ["Mld", "Parc", "Persistence"]
