"""Records of other tools, which hold averages, set aside: by somebody who had not seen the rules."""

from __future__ import annotations

from conditions import Condition

ROWS = (
    Condition(
        name="averaging/hr-classic-finder-residual-rmsprop",
        says="The callback of tutorials, a PyDataset of shuffled batches.",
        data="hr",
        model=("residual", {}),
        optimizer=("RMSprop", {}),
        feed="batches",
        record="classic finder",
    ),
    Condition(
        name="averaging/excerpts-smoothed-export-adam",
        says="Losses exported from a board with its smoothing at 0.9.",
        data="excerpts",
        model=("transformer", {"sequences": True}),
        optimizer=("Adam", {}),
        fit={"batch_size": 32},
        scan={"num_steps": 120},
        record="smoothed export",
    ),
)
"""All of them."""
