"""A run under an older Keras is really one, and the documentation says which there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.minors
@pytest.mark.keras
def test_the_keras_of_this_run_is_the_one_in_the_folder_that_was_given(keras: Any, pytestconfig: Any) -> None:  # noqa: ANN401
    for folder in pytestconfig.getini("pythonpath"):
        assert Path(keras.__file__).is_relative_to(folder)
        assert f"keras-{keras.__version__}.".startswith(f"{folder.name}.")
