"""Serves the page that explains a learning-rate plot, on a public host that runs `app.py` (port 7860)."""

from __future__ import annotations

from keras_lrscan.app.server import serve

if __name__ == "__main__":
    serve(host="0.0.0.0", port=7860)  # noqa: S104 - the host forwards visitors to this port
