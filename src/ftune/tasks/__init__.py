"""Tasks: what the model is trained for, and how well it does."""

from ftune.registry import Table

TASKS = Table(
    "task",
    {
        "classification": "ftune.tasks.classification:Classification",
        "regression": "ftune.tasks.regression:Regression",
    },
)
