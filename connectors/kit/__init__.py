"""What kinds of connector are built from. Nothing here knows a configured connection, or one particular system."""
