"""Strict configuration models: the only home of defaults.

A recipe is a YAML file with any subset of these keys. ``load_config`` reads it, applies
``--set a.b=c`` overrides and returns a validated, frozen :class:`Config`.
"""

from probtokens.config.base import Interval
from probtokens.config.forecast import EvaluateConfig, ReportConfig, RolloutConfig
from probtokens.config.microstructure import ImageConfig, MicrostructureConfig, PoreKind
from probtokens.config.recipe import dump_config, load_config
from probtokens.config.run import Config, DataConfig
from probtokens.config.simulation import CampaignConfig, ClusterConfig, PhysicsConfig, ShiftConfig, SimulateConfig
from probtokens.config.training import (
    ElboStage,
    FieldGroupConfig,
    InferenceCompilationStage,
    LatentErrorStage,
    MesoConfig,
    MicroConfig,
    OptimizerName,
    ParcConfig,
    ReconstructionStage,
    RolloutErrorStage,
    RolloutScoreStage,
    Stage,
    StageConfig,
    TokenConfig,
)

__all__ = [
    "CampaignConfig",
    "ClusterConfig",
    "Config",
    "DataConfig",
    "ElboStage",
    "EvaluateConfig",
    "FieldGroupConfig",
    "ImageConfig",
    "InferenceCompilationStage",
    "Interval",
    "LatentErrorStage",
    "MesoConfig",
    "MicroConfig",
    "MicrostructureConfig",
    "OptimizerName",
    "ParcConfig",
    "PhysicsConfig",
    "PoreKind",
    "ReconstructionStage",
    "ReportConfig",
    "RolloutConfig",
    "RolloutErrorStage",
    "RolloutScoreStage",
    "ShiftConfig",
    "SimulateConfig",
    "Stage",
    "StageConfig",
    "TokenConfig",
    "dump_config",
    "load_config",
]
