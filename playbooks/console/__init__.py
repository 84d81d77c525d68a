"""What the console's pages show of incidents, plans and playbooks: gathered here, drawn by templates, never written."""
