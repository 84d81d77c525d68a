"""What comes in by itself or is asked for in turns: hooks, polls, and what was delivered."""
