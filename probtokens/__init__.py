"""Probabilistic surrogates of shocked porous energetic materials: micro tokens, meso coupling, calibrated ensembles."""

__version__ = "0.1.0"
