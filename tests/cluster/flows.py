"""The connections that are opened in a network namespace, as its devices see them: pods' are among the node's."""

from __future__ import annotations

import ipaddress
import socket
import struct
from types import TracebackType
from typing import NamedTuple

from tests.cluster.repeating import Repeating

_ALL, _IPV4 = 0x0003, 0x0800  # kinds of frames
_TCP, _UDP = 6, 17
_SYN, _ACK = 0x02, 0x10
_DNS = 53
_PACKETS = 1_000  # that are read before it is asked whether it is over


class Opened(NamedTuple):
    """A connection, or a question over UDP, by addresses."""

    source: str
    target: str
    port: int
    protocol: str


class Sniffer(Repeating):
    """Collects while entered; needs CAP_NET_RAW."""

    def __init__(self) -> None:
        super().__init__(every=0.0)
        self.opened: set[Opened] = set()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        self._socket.settimeout(0.2)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._socket.close()

    def once(self) -> None:
        """Some packets, fewer where a pause comes first."""
        for _ in range(_PACKETS):
            try:
                packet, about = self._socket.recvfrom(128)
            except TimeoutError:
                return
            found = opened(packet) if about[1] == _IPV4 else None
            if found is not None:
                self.opened.add(found)


def opened(packet: bytes) -> Opened | None:
    """What an IPv4 packet opens, None where it belongs to something that is open."""
    if len(packet) < 20 or struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:  # a later fragment has no ports
        return None
    start, protocol = (packet[0] & 0x0F) * 4, packet[9]
    source, target = (str(ipaddress.IPv4Address(packet[at : at + 4])) for at in (12, 16))
    if protocol == _TCP and len(packet) >= start + 14:
        if packet[start + 13] & (_SYN | _ACK) != _SYN:
            return None
        return Opened(source, target, struct.unpack_from("!H", packet, start + 2)[0], "TCP")
    if protocol == _UDP and len(packet) >= start + 4:
        port: int = struct.unpack_from("!H", packet, start + 2)[0]
        return Opened(source, target, port, "UDP") if port == _DNS else None
    return None
