"""From a recipe to a report: stages that are skipped when nothing they depend on has changed."""
