"""Configuration as code: documents in YAML files, read, checked, planned and applied."""
