"""Training of networks: the solver, its objectives, hooks and checkpoints."""
