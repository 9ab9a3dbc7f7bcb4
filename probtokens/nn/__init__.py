"""Networks on token lattices: plain torch, returning distributions."""
