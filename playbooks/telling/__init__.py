"""What happens to incidents, approvals and executions, told to people and subscribers through one outbox."""
