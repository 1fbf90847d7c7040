"""Settles by several scans or short trainings what one curve cannot show."""
