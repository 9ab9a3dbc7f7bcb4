"""What crystals look like inside: drawn pores or pieces of a micrograph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from probtokens.config.base import Count, Interval, NonNegative, Positive, Real, Strict

PoreKind = Literal["ellipse", "v", "crack", "cluster"]


class ImageConfig(Strict):
    """Grey image (PNG, PGM or npy) of a section. Lengths in µm.

    Pixels darker (``pores: dark``) or brighter (``bright``) than ``threshold``, a fraction of the full
    range or Otsu's, are voids. Voids whose area is less than that of a disc of ``least_diameter`` are noise and filled.
    ``random_orientation`` turns the image by quarter turns and mirrors it: only for textures without direction.
    With ``separate_splits`` training, validation and test simulations come from parts of the image of their own.
    """

    path: Path = Field(description="Grey image (PNG, PGM or npy) of a section.")
    pixel_size: Positive = Field(description="Edge of a pixel [µm].")
    threshold: Annotated[Real, Field(gt=0, lt=1)] | Literal["otsu"] = Field(
        default="otsu", description="Grey value between voids and crystal, a fraction of the full range or Otsu's."
    )
    pores: Literal["dark", "bright"] = Field(default="dark", description="Whether voids are darker or brighter than the threshold.")
    least_diameter: NonNegative = Field(default=0.0, description="Voids smaller than a disc of this diameter [µm] are filled.")
    random_orientation: bool = Field(default=False, description="Whether pieces are turned by quarter turns and mirrored.")
    separate_splits: bool = Field(
        default=True, description="Whether training, validation and test pieces come from parts of the image of their own."
    )


class MicrostructureConfig(Strict):
    """Random pores. Lengths in µm.

    ``n_pores`` of them are drawn, or with ``porosity`` (area fraction of voids) as many as come
    nearest to a target from that range. ``diameter`` is that of a disc of about the area of an
    ellipse; a crack is 1.6 times as long, the arms of a V once. It is uniform, or log-normal with ``diameter_median`` (by
    default the geometric centre of the range) and standard deviation ``diameter_log_sd`` of its
    logarithm, both before it is truncated to the range. Kinds are drawn with ``kind_weights``, 1 where none is given.

    With ``image`` random pieces of it take the place of drawn pores; ``porosity`` is then the range that a piece must be in.
    """

    kinds: Annotated[tuple[PoreKind, ...], Field(min_length=1)] = Field(
        default=("ellipse", "v", "crack", "cluster"), description="Shapes of pores."
    )
    kind_weights: dict[PoreKind, Positive] | None = Field(default=None, description="How often each shape is drawn, 1 where none is given.")
    diameter: Interval = Field(
        default=Interval(low=0.3, high=0.8), description="Range of the diameter of a disc of about the pore's area [µm]."
    )
    diameter_distribution: Literal["uniform", "log_normal"] = Field(
        default="uniform", description="Distribution of diameters in that range."
    )
    diameter_median: Positive | None = Field(
        default=None, description="Median of log-normal diameters [µm]; the geometric centre of the range by default."
    )
    diameter_log_sd: Positive = Field(default=0.4, description="Standard deviation of the logarithm of log-normal diameters.")
    n_pores: tuple[Count, Count] = Field(default=(1, 1), description="Least and most pores.")
    porosity: Interval | None = Field(default=None, description="Range of the area fraction of voids, in place of a number of pores.")
    margin: NonNegative = Field(default=0.25, description="Least distance of pores from the edges [µm].")
    gap: NonNegative = Field(default=0.15, description="Least distance between pores [µm].")
    image: ImageConfig | None = Field(default=None, description="Micrograph whose pieces take the place of drawn pores.")

    @model_validator(mode="after")
    def _ranges(self) -> MicrostructureConfig:
        if self.n_pores[0] > self.n_pores[1]:
            raise ValueError(f"n_pores: expected low <= high, got {self.n_pores[0]} > {self.n_pores[1]}")
        if self.diameter.low <= 0.0:
            raise ValueError(f"diameter: expected low > 0, got {self.diameter.low}")
        if self.porosity is not None and not 0.0 < self.porosity.low <= self.porosity.high < 1.0:
            raise ValueError(f"porosity: expected a range inside 0..1, got {self.porosity.low}..{self.porosity.high}")
        median = self.diameter_median
        if median is not None and not self.diameter.low <= median <= self.diameter.high:
            raise ValueError(f"diameter_median: expected it in diameter {self.diameter.low}..{self.diameter.high}, got {median}")
        return self

    @model_validator(mode="after")
    def _keys_fit_together(self) -> MicrostructureConfig:
        if unknown := sorted(set(self.kind_weights or ()) - set(self.kinds)):
            raise ValueError(f"kind_weights: expected kinds among {list(self.kinds)}, got {unknown}")
        if self.diameter_distribution == "uniform" and self._changed("diameter_median", "diameter_log_sd"):
            raise ValueError("diameter_median, diameter_log_sd: expected diameter_distribution log_normal with them, got uniform")
        if self.porosity is not None and self._changed("n_pores"):
            raise ValueError("expected one of n_pores and porosity, got both")
        drawn = ("kinds", "kind_weights", "diameter", "diameter_distribution", "diameter_median", "diameter_log_sd", "n_pores", "gap")
        if self.image is not None and (changed := self._changed(*drawn)):
            raise ValueError(f"image: expected no settings of drawn pores beside it, got {changed}")
        return self

    def _changed(self, *keys: str) -> list[str]:
        """Keys that have another value than their default: a saved recipe names them all."""
        return [key for key in keys if getattr(self, key) != type(self).model_fields[key].default]
