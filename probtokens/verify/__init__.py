"""Verification: what the package computes against exact and independent references."""
