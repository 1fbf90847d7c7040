"""Curves recorded by other tools, which store averaged losses, set aside from tuning."""

from __future__ import annotations

from conditions.condition import Condition

ROWS = (
    Condition(
        name="averaging/hr-classic-finder-residual-rmsprop",
        description="The usual tutorial callback, with a PyDataset of shuffled batches.",
        data="hr",
        model=("residual", {}),
        optimizer=("RMSprop", {}),
        feed="batches",
        record="classic finder",
    ),
    Condition(
        name="averaging/excerpts-smoothed-export-adam",
        description="Losses exported from a dashboard with smoothing set to 0.9.",
        data="excerpts",
        model=("transformer", {"sequences": True}),
        optimizer=("Adam", {}),
        fit={"batch_size": 32},
        scan={"num_steps": 120},
        record="smoothed export",
    ),
)
