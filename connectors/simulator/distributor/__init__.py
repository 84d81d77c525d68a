"""The one business that all simulated systems have in common: its year, its money, and what went wrong in it."""
