"""Detectors: versioned rules that open incidents through the ordinary intake, rehearsed before they are switched on."""
