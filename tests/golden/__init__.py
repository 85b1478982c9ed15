"""Golden runs: small trainings of every kind whose losses and weights must not change."""
