"""What people say and are told elsewhere: messages, chats, tickets, and the records that a text speaks of."""
