"""Configures the build of the site: `sphinx-build docs docs/_build/html`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import keras_lrscan
import pages

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "keras_lrscan"
author = "The keras_lrscan maintainers"
copyright = author  # noqa: A001 - Sphinx's name
release = keras_lrscan.__version__

extensions = ["myst_parser", "sphinx_design", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "README.md", "recipes"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!keras_lrscan\.\w+$).*")]  # types inside modules need no entry
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "keras_lrscan"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False


FENCE = re.compile(r"^(?P<space> *)```python\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)


def fences_to_directives(*event: Any) -> None:
    """Supports code between Markdown fences in docstrings, as in those of Keras."""
    lines: list[str] = event[-1]

    def directive(found: re.Match[str]) -> str:
        return f"\n{found['space']}.. code-block:: python\n\n" + re.sub(
            r"^(?=.)", "   ", found["code"], flags=re.MULTILINE
        )

    lines[:] = FENCE.sub(directive, "\n".join(lines)).splitlines()


def setup(app: Sphinx) -> None:
    """Writes the generated pages before Sphinx collects its sources."""
    app.connect("builder-inited", lambda _: pages.write(HERE))
    app.connect("source-read", lambda _app, _name, text: text.__setitem__(0, pages.with_inserts(text[0])))
    app.connect("autodoc-process-docstring", fences_to_directives, priority=100)
