"""PARCv2 closer to its paper (Nguyen et al., ICML 2024), to show that the package's PARC is not a weak one."""

from __future__ import annotations

from torch import Tensor

from probtokens.baselines.parc import Parc


class LiteralParc(Parc):
    """PARC whose networks work at full resolution, and whose explicit terms enter by modulation alone.

    Widths and schedule are those of the package's PARC. Explicit terms are limited here too: without it, rollouts run away.
    """

    name = "parc_literal"
    block = 1

    def change(self, read_out: Tensor, advected: Tensor, diffused: Tensor) -> Tensor:
        """The read-out, which explicit terms modulate."""
        return read_out[:, : len(self.fields)]
