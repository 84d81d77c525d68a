"""The score: measures over incidents and executions, what they are worth, and what to do next."""
