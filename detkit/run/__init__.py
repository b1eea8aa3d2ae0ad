"""How a recipe becomes results: stages, the plan of their steps, artefacts and the runner."""
