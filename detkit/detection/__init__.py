"""The composed detector and its model folder."""
