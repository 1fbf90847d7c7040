"""Holds recorded curves and their context, imports curves from other tools, and undoes their averaging."""
