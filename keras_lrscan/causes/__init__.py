"""Ranks the likely causes of a curve's shape, from tables of causes and their evidence."""
