"""System checks, each with an id, for settings that would be dangerous."""
