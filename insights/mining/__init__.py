"""Process mining: questions about an event log, each a function ``f(log, filter)`` with a frozen answer.

Questions are SQL over the log's four tables, put through ``insights.engines``. Names from outside are parameters or are
looked up first; they never enter SQL text. Answers speak in names, never in the tables' numbers.
"""
