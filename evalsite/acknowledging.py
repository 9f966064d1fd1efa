"""A worker's request whose acknowledgement the broker did not take: over for this worker all the same.

Celery logs such an acknowledgement and goes on, but kombu still counts the message as being in work; with a prefetch of
one the worker then asks for no other, for ever. The broker gives the message out again when its time is over, which
harms nothing here: what a task does is claimed in the database first.
"""

from celery.worker.request import Request as CeleryRequest
from kombu.transport import virtual


class Request(CeleryRequest):
    """Celery's request; for transports that keep count of messages themselves, as those of Redis and of folders do."""

    def acknowledge(self) -> None:
        """Acknowledge the message, and count it as done also where the broker cannot hear of it."""
        if self.acknowledged:
            return
        super().acknowledge()
        message = self.message
        # A channel that was closed in between has given back what it had.
        if not message.acknowledged and isinstance(message.channel, virtual.Channel):
            virtual.QoS.ack(message.channel.qos, message.delivery_tag)
