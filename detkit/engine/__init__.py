"""The training loop, its hooks, checkpoints, seeding and compute settings."""
