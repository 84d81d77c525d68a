"""Event logs brought in: files and continuous feeds become the four tables that every question is asked of."""
