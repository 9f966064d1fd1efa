"""A message that Redis did not hear of any more is over for its worker all the same.

Celery logs an acknowledgement that failed and goes on, but kombu still counts the message as being in work: with a
prefetch of one the worker then asks for no other, for ever. Redis gives such a message out again when its time is over,
which harms nothing here: what a task does is claimed in the database first.
"""

from kombu.transport import redis, virtual


class QoS(redis.QoS):
    """Kombu's count of what a worker has in work, which goes down also where Redis could not be told."""

    def ack(self, delivery_tag: str) -> None:
        """The message is done with."""
        try:
            super().ack(delivery_tag)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """The message is for somebody else, or for nobody."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


def install() -> None:
    """Let all channels to Redis that this process opens from now on count in this way."""
    redis.Channel.QoS = QoS
