"""Serves the page on which a picture, a file or two columns of numbers become an explanation."""
