"""One MQTT connection, from CONNECT to its end: paho without its thread.

Shell, and the only importer of paho: nothing else may know which library speaks
MQTT here. It is used on the reactor's thread alone (paho 2 has no lock round its
writer), over a socket that `dial` connected. It never reconnects: a connection
ends once, and the session makes a new one, so no state of paho's outlives it.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MessageType, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from broker.allowance import Allowance
from broker.byte_stream import ByteStream
from broker.connection_events import ConnectionEvents
from broker.dial import discard_on_close
from broker.publication import plain_packet, plain_publication
from broker.reactor import Reactor
from broker.road import Delivery, Message, Will
from broker.session_config import SessionConfig
from observability import log

_log = log.get("broker.connection")

_PACKET_OVERHEAD_BYTES = 66 * 1024  # the longest topic and some properties
# Of the stream's buffer: a sender that never pauses must not keep us from writing, nor from timers.
_FILLS_A_TURN = 2
_NO_ID = 0  # MQTT gives ids from 1 on, and none at QoS 0
_NOBODY_WAITS = mqtt.MQTTMessageInfo(_NO_ID)  # paho notes in it that a publication of QoS 0 was written


class _Paho(mqtt.Client):
    """A paho client over a socket that somebody else connected."""

    def __init__(self, stream: ByteStream, config: SessionConfig) -> None:
        self.given = stream
        self.on_plain: Callable[[str, bytes, bool], None]  # as on_message, for the plain kind
        self.is_v5 = config.protocol == 5
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self.is_v5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if self.is_v5 else True,
            reconnect_on_failure=False,
        )
        self.max_inflight_messages = 0  # the session keeps its own window
        if config.username is not None:
            self.username_pw_set(config.username, config.password)
        # Without one, paho writes from inside publish(), where it may hold its callback lock.
        self.on_socket_register_write = lambda *_: None

    def _create_socket(self) -> Any:
        return self.given

    def _packet_queue(self, command: int, packet: Any, *rest: Any) -> Any:
        # paho slices off what is left for every partial send: a view makes that free.
        return super()._packet_queue(command, memoryview(packet), *rest)  # type: ignore[arg-type]

    def _handle_publish(self) -> Any:
        plain = plain_publication(self._in_packet["command"], self._in_packet["packet"], is_v5=self.is_v5)
        if plain is None:
            return super()._handle_publish()
        self.on_plain(*plain)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def queue_plain(self, message: Message) -> None:
        """Queue one publication of QoS 0."""
        packet = plain_packet(message.topic, message.payload, retain=message.retain, is_v5=self.is_v5)
        self._packet_queue(MessageType.PUBLISH, packet, _NO_ID, 0, _NOBODY_WAITS)

    def open(self, config: SessionConfig) -> None:
        """Queue the CONNECT."""
        address = config.address
        if not self.is_v5:
            self.connect(address.host, address.port, config.keepalive_s)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = config.max_payload_bytes + _PACKET_OVERHEAD_BYTES
        self.connect(address.host, address.port, config.keepalive_s, clean_start=True, properties=properties)


class Connection:
    """One connection; made on the reactor's thread from a connected socket."""

    def __init__(
        self,
        sock: socket.socket,
        config: SessionConfig,
        *,
        reactor: Reactor,
        will: Will | None,
        events: ConnectionEvents,
    ) -> None:
        self._reactor = reactor
        self._events = events
        self._sock = sock
        self._stream = ByteStream(sock)
        self._ended = False
        self._writing = True
        self._reads_on = False  # a turn that reads what is left waits already
        self._reason = "the broker closed the connection"
        self._asked: dict[int, list[str]] = {}
        self._queued: set[int] = set()  # ids of what `queue` sent and the broker did not confirm yet
        self.allowance = Allowance()
        self.given_up = False  # ended by us, and not by the broker or the network
        self._client = client = _Paho(self._stream, config)
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_plain = self._deliver
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = lambda _client, _userdata, _sock: self._reactor.unwatch(self._sock)
        reactor.watch(sock, self._on_socket, write=True)
        client.open(config)

    @property
    def connected(self) -> bool:
        """Whether the broker accepted us and nothing ended it since."""
        return not self._ended and self._client.is_connected() and self._client.socket() is not None

    @property
    def blocked(self) -> bool:
        """Whether something handed over is not written yet (also after the end)."""
        return self._client.want_write()

    @property
    def queued(self) -> int:
        """How much of what `queue` sent is not confirmed: the broker counts it too."""
        return len(self._queued)

    def publish(self, message: Message) -> int:
        """Hand over one publication and begin to write it; returns its id, 0 for one of QoS 0."""
        mid = self._hand_over(message)
        self._client.loop_write()
        return mid

    def queue(self, message: Message) -> None:
        """Hand over one publication from inside an event; the next turn writes it."""
        if mid := self._hand_over(message):
            self._queued.add(mid)

    def _hand_over(self, message: Message) -> int:
        if not message.qos:
            self._client.queue_plain(message)
            return _NO_ID
        return self._client.publish(message.topic, message.payload, message.qos, message.retain).mid

    def flush(self) -> None:
        """Write what was queued from inside an event."""
        if not self._ended and self._client.want_write():
            self._client.loop_write()

    def subscribe(self, filters: list[tuple[str, int]]) -> None:
        """Ask for all of `filters` in one packet."""
        _rc, mid = self._client.subscribe(filters)
        if mid is not None:
            self._asked[mid] = [topic_filter for topic_filter, _qos in filters]

    def keep_alive(self) -> None:
        """Let paho send its PINGREQ; call it about once a second."""
        self._client.loop_misc()
        self.settle()

    def settle(self) -> None:
        """Follow up on whatever the last calls did to the socket."""
        if self._ended:
            return
        if self._client.socket() is None:
            self._end()
        elif self._client.want_write() != self._writing:
            self._writing = not self._writing
            self._reactor.watch(self._sock, self._on_socket, write=self._writing)

    def abandon(self, reason: str) -> None:
        """End it at once and discard what the kernel still holds."""
        if self._ended:
            return
        self._reason = reason
        self.given_up = True
        self._reactor.unwatch(self._sock)
        discard_on_close(self._sock)
        self._sock.close()
        self._end()

    def leave(self) -> None:
        """Say DISCONNECT, so that the broker keeps our will to itself."""
        self._reason = "left"
        self.given_up = True
        self._client.disconnect()
        self._client.loop_write()
        if self._client.socket() is None:
            self._end()
        else:
            self.abandon("left while the way out was blocked")

    def _end(self) -> None:
        self._ended = True
        self._client.on_socket_close = None  # its finaliser may run on any thread
        self._sock.close()
        self._events.ended(self._reason)

    def _on_socket(self, readable: bool, writable: bool) -> None:  # noqa: FBT001  a SocketHandler
        try:
            self._serve(readable=readable, writable=writable)
        except Exception as error:  # noqa: BLE001  whatever a peer's bytes can cause in paho
            # A reader that failed within a packet would read the same one for ever.
            _log.warning("a packet could not be read", trace="".join(traceback.format_exception(error)))
            self.abandon(f"the broker sent what cannot be read: {error!r}")
        self.settle()

    def _serve(self, *, readable: bool, writable: bool) -> None:
        if writable:
            self._client.loop_write()
        if readable and self._client.socket() is not None:
            self._events.heard()
            self._read()
        if self.connected:
            self._events.progressed()

    def _read(self) -> None:
        # Set only here, where acknowledgements come in: paho would also call it for every
        # QoS 0 publication that it writes, and build a reason and properties each time.
        self._client.on_publish = self._on_publish
        last = self._stream.fills + _FILLS_A_TURN
        self._client.loop_read()
        while self._stream.pending and self._stream.fills < last and self._client.socket() is not None:
            self._client.loop_read()
        self._client.on_publish = None
        # The kernel does not wake us for what the stream has read ahead.
        if self._stream.pending and not self._reads_on:
            self._reads_on = True
            self._reactor.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._reads_on = False
        if not self._ended:
            self._on_socket(True, False)

    def _on_connect(
        self, _client: mqtt.Client, _userdata: Any, _flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            self._reason = f"the broker refused us: {reason}"
        else:
            self.allowance = Allowance(
                unconfirmed_messages=getattr(properties, "ReceiveMaximum", 65535),
                packet_bytes=getattr(properties, "MaximumPacketSize", None),
            )
            self._events.opened()

    def _on_disconnect(
        self, _client: mqtt.Client, _userdata: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._reason = f"the broker sent us away: {reason}"

    def _on_message(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        self._deliver(message.topic, bytes(message.payload), message.retain, qos=message.qos)

    def _deliver(self, topic: str, payload: bytes, retain: bool, *, qos: int = 0) -> None:  # noqa: FBT001  a callback
        now_ns = self._reactor.now_ns
        self._events.delivered(
            Delivery(topic=topic, payload=payload, qos=qos, retain=retain, received_ns=now_ns)
        )

    def _on_subscribe(
        self, _client: mqtt.Client, _userdata: Any, mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        for topic_filter, reason in zip(self._asked.pop(mid, []), reasons, strict=False):
            if reason.is_failure:
                self._events.subscription_refused(topic_filter)

    def _on_publish(
        self, _client: mqtt.Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        self._queued.discard(mid)
        self._events.acked(mid, reason.is_failure)
