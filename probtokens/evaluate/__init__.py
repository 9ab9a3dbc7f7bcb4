"""Scores of ensembles, hot-spot curves, comparisons of models, export to ArviZ."""

from probtokens.evaluate.compare import Comparison, Pair, compare, compare_documents, compare_models, sign_flip_test
from probtokens.evaluate.hotspots import hotspot_curves
from probtokens.evaluate.scores_file import load_scores, write_scores
from probtokens.evaluate.summary import score_rollout

__all__ = [
    "Comparison",
    "Pair",
    "compare",
    "compare_documents",
    "compare_models",
    "hotspot_curves",
    "load_scores",
    "score_rollout",
    "sign_flip_test",
    "write_scores",
]
