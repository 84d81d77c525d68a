"""Task mining: how people do a task on their screens, from step logs that hold no names and no values."""
