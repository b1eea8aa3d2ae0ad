"""Training of networks: the solver, what it optimises, its hooks and checkpoints."""
