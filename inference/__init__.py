"""The craft: models, runtimes and tasks."""
