"""Token models at both scales: Pyro models, guides and their forecasts."""
