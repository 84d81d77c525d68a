"""The console's pages about incidents, plans, playbooks and dead letters."""
