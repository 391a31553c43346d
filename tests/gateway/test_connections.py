"""Who may stay connected when there is no room for all: the table alone, without sockets."""

from __future__ import annotations

import random

import pytest

from claude_operator.gateway.connections import HEAD_SECONDS, ConnectionTable, TrackedConnection, peer_of
from claude_operator.gateway.errors import Refused


class Room:
    """A table with a clock, and what was closed, by the order of entry."""

    def __init__(self, size: int = 8, head_bytes: int = 100) -> None:
        self.now = 0.0
        self.table = ConnectionTable(size, head_bytes, lambda: self.now)
        self.closed: list[tuple[int, int]] = []
        self._number = 0

    def enter(self, peer: str = "a") -> TrackedConnection | None:
        number, self._number = self._number, self._number + 1
        made = self.table.enter(peer)
        if made is not None:

            def close(answer: Refused | None) -> None:
                self.closed.append((number, answer.status if answer else 0))
                made.leave()

            made.close = close
        return made

    def must_enter(self, peer: str = "a") -> TrackedConnection:
        made = self.enter(peer)
        assert made is not None
        return made


def test_who_has_waited_longest_without_a_byte_makes_room() -> None:
    room = Room(4)
    partial, silent, idle, busy = (room.must_enter(peer) for peer in "abcd")
    partial.receive(1)
    for one in (idle, busy):
        one.work()
    idle.rest()
    room.now = 1.0
    for peer, gone in (("e", 1), ("f", 4), ("g", 5)):
        room.must_enter(peer).work()
        assert [number for number, _ in room.closed][-1] == gone if peer == "e" else True
    assert [number for number, _ in room.closed] == [1, 0, 2]
    assert room.enter("h") is None  # all are busy
    assert silent.phase == partial.phase == idle.phase == "gone"
    assert busy.phase == "busy"


def test_a_peer_never_has_the_last_quarter() -> None:
    room = Room(8)
    for _ in range(6):
        room.must_enter("a").work()
    assert room.enter("a") is None
    for _ in range(2):
        room.must_enter("b").work()
    assert room.enter("c") is None
    assert room.closed == []


def test_newcomers_do_not_take_each_others_places() -> None:
    """Their first bytes are on their way; the idle ones have waited longer."""
    room = Room(8)
    for peer in "abcdefgh":
        idle = room.must_enter(peer)
        idle.work()
        idle.rest()
    room.now = 5.0
    newcomers = [room.must_enter(peer) for peer in "ijklmnop"]
    assert [number for number, _ in room.closed] == [*range(8)]
    room.now = 5.5
    assert room.must_enter("q").phase == "silent"  # nobody else is left, so the first of them goes
    assert [one.phase for one in newcomers] == ["gone", *["silent"] * 7]


def test_a_peer_whose_connections_do_not_leave_gets_no_more() -> None:
    """A closed connection may wait for its client's farewell."""
    room = Room(256)
    there = []
    while (made := room.table.enter("a")) is not None:
        there.append(made)
    assert len(there) == room.table.per_peer + 16 < 256
    there[0].leave()
    assert room.enter("a") is not None
    assert room.enter("b") is not None


def test_at_its_limit_a_peer_makes_room_for_itself_alone() -> None:
    room = Room(8)
    other = room.must_enter("b")
    for _ in range(6):
        room.must_enter("a")
    room.must_enter("a")
    assert room.closed == [(1, 0)]
    assert other.phase == "silent"


def test_a_head_has_its_time_from_the_first_byte_and_a_silent_one_from_its_beginning() -> None:
    room = Room()
    silent, late = room.must_enter(), room.must_enter()
    resting = room.must_enter()
    resting.work()
    resting.rest()
    room.now = HEAD_SECONDS - 1
    late.receive(3)
    room.now = HEAD_SECONDS
    room.table.expire()
    assert room.closed == [(0, 0)]
    assert silent.phase == "gone"
    late.receive(3)  # more bytes give no more time
    room.now = 2 * HEAD_SECONDS - 1
    room.table.expire()
    assert room.closed == [(0, 0), (1, 408)]
    assert resting.phase == "idle"
    resting.receive(1)
    room.now += HEAD_SECONDS
    room.table.expire()
    assert room.closed[-1] == (2, 408)


def test_heads_that_are_arriving_share_a_number_of_bytes() -> None:
    room = Room(8, head_bytes=100)
    first, second, third = (room.must_enter() for _ in range(3))
    first.receive(60)
    second.receive(40)
    assert room.closed == []
    third.receive(1)
    assert room.closed == [(0, 529)]
    assert room.table.heads == 41
    second.work()
    assert room.table.heads == 1


def test_bytes_behind_a_request_that_is_answered_count_too() -> None:
    room = Room(8, head_bytes=100)
    busy = room.must_enter()
    busy.work()
    busy.receive(90)
    busy.rest()
    assert busy.phase == "partial"
    busy.work()
    busy.receive(101)  # nobody else is there to go
    assert room.closed == [(0, 529)]
    assert (room.table.heads, room.table.count) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_the_books_are_right(seed: int) -> None:
    chance, room, there = random.Random(seed), Room(12, head_bytes=50), list[TrackedConnection]()
    for _ in range(2000):
        room.now += chance.random()
        match chance.randrange(7):
            case 0 | 1 if (made := room.enter(chance.choice("abcd"))) is not None:
                there.append(made)
            case 2 if there:
                chance.choice(there).receive(chance.randrange(1, 30))
            case 3 if there:
                chance.choice(there).work()
            case 4 if there:
                chance.choice(there).rest()
            case 5 if there:
                chance.choice(there).leave()
            case 6:
                room.table.expire()
            case _:
                pass
        there = [one for one in there if one.phase != "gone"]
        assert room.table.count == len(there) == sum(peer.count for peer in room.table.peers.values()) <= 12
        assert room.table.heads == sum(one.head for one in there) <= 50
        assert all(peer.count <= 9 for peer in room.table.peers.values())
        assert set(room.table.peers) == {one.peer for one in there}


def test_a_peer_is_an_address_or_all_that_one_host_can_choose_from() -> None:
    assert peer_of(("10.0.0.1", 5)) == "10.0.0.1"
    assert peer_of(("2001:db8::1", 5, 0, 0)) == peer_of(("2001:db8::ffff:2", 5, 0, 0)) == "2001:db8::/64"
    assert peer_of(("::ffff:10.0.0.1", 5, 0, 0)) == "10.0.0.1"
    assert peer_of("") == ""
