"""What the outside world tells the floors above."""

from django.dispatch import Signal

# Sent inside the transaction that stored them: sender=Delivery, connection_id=int, delivery_ids=list[int].
deliveries_arrived = Signal()
