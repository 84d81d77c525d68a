"""Bells of insights. Each makes one call and is harmless when it rings twice or never."""
