"""Where a request ends on a connection, so that the bytes behind it count as the head of another one."""

from __future__ import annotations

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage

__all__ = ["PipelinedHandler"]

_END = b"\r\n\r\n"  # of a head, and of a body in chunks
_MOST_BEHIND = 1 << 16  # bytes behind a body in chunks that count


class PipelinedHandler(web.RequestHandler):
    """Gives the parser one head or one body at a time: what it keeps of the bytes behind them it does not tell.

    Behind a body in chunks, which only the parser can follow, more may count than the head of the next request.
    """

    _body: StreamReader | None = None  # of the request that came last
    _missing: int | None = 0  # bytes of it that were not given to the parser, None where only the parser knows
    _behind = 0  # bytes after the last `_END` that was given to the parser
    _ending = b""  # the last bytes of a head that is not complete
    _failed = False  # the parser cannot go on
    _held = b""  # bytes that wait until the parser goes on

    def begin_request(self) -> None:
        """A head is complete."""

    def take_head(self, size: int) -> None:
        """Bytes of a head have come that do not complete it."""

    def data_received(self, data: bytes) -> None:
        """Take bytes; with none, go on after a pause."""
        if self._failed:
            return
        if not data:
            self._give(data)
        data, self._held = self._held + data, b""
        while data and not (self._failed or self._force_close or self._close):
            if self._has_to_wait():
                self._held = data
                return
            size = self._next_size(data)
            self._give(data[:size])
            data = data[size:]

    def _has_to_wait(self) -> bool:
        """Whether the parser has paused; when it goes on, `data_received` is called without bytes."""
        is_full = len(self._messages) >= self._max_msg_queue_size
        return is_full or (self._reading_paused and self._missing == 0 and self._is_in_body())

    def _is_in_body(self) -> bool:
        return self._body is not None and not self._body.is_eof()

    def _next_size(self, data: bytes) -> int:
        if self._upgraded:
            return len(data)
        if self._is_in_body():
            return self._missing or len(data)
        if not self._ending and (empty := len(data) - len(data.lstrip(b"\r\n"))):
            return empty
        known = len(self._ending)
        if known and (found := (self._ending + data[:3]).find(_END)) >= 0:
            return found + len(_END) - known
        found = data.find(_END)
        return found + len(_END) if found >= 0 else len(data)

    def _give(self, piece: bytes) -> None:
        seen, was_in_body = self._request_count, self._is_in_body()
        if piece and self._missing is None:
            self._behind = max(len(piece) - piece.rfind(_END) - len(_END), 0)
        super().data_received(piece)
        is_new = self._request_count != seen
        if is_new:
            message, self._body = self._messages[-1]
            self._ending = b""
            self.begin_request()
            if not isinstance(message, RawRequestMessage):
                self._failed = True
                return
            unknown = message.chunked or was_in_body  # in the latter case it began somewhere in this piece
            self._missing = None if unknown else int(message.headers.get("content-length", 0))
        if was_in_body:
            self._follow_body(piece)
        elif not is_new:
            self._follow_head(piece)

    def _follow_body(self, piece: bytes) -> None:
        if self._missing is not None:
            self._missing -= len(piece)
        elif not self._is_in_body():
            self._missing = 0
            if self._behind:
                self._ending = piece[-3:] or b"?"
                self.take_head(min(self._behind, _MOST_BEHIND))

    def _follow_head(self, piece: bytes) -> None:
        if self._ending or piece.strip(b"\r\n"):  # empty lines before a head are none of it
            self._ending = (self._ending + piece[-3:])[-3:]
            self.take_head(len(piece))
