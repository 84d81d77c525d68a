"""The pages of event logs: bring one in, see its process, ask why, and do something about it."""
