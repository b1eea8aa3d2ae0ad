"""From recipe to results: stages, the plan of their steps, artefacts and the runner."""
