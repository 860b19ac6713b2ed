"""What an invented stream sends over its WebSocket, well-behaved or not."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence

import world_posts as wire
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from world_faults import Fault
from world_posts import Post

STEP_S = 0.02  # how often an open stream looks for what has appeared
LISTED = 3_000  # no service lists more than its newest messages
OVERSIZE = 2_500_000  # more than the tests allow for one answer
BROKEN: dict[str, bytes] = {
    "cut_frame": b"\x81\x7e" + struct.pack(">H", 400) + b'{"did":',
    "reserved": b"\x83\x00",
    "bad_utf8": b"\x81\x02\xff\xfe",
}
ENDS_HERE = frozenset({"dropped", "cut_frame"})  # the peer is gone without a goodbye


async def misbehave(peer: ServerConnection, fault: Fault, shown: Callable[[], Sequence[Post]]) -> None:
    """What comes before the stream goes on as it should, where it can."""
    if fault.kind == "silent_socket":
        await peer.wait_closed()
    elif fault.kind == "garbage":
        for frame in ("not JSON", "[]", "{}", '{"kind": "commit"}', "[" * 50_000):
            await peer.send(frame)
    elif fault.kind == "oversize":
        await peer.send(" " * OVERSIZE)
    elif fault.kind == "half_replay":
        await replay_half(peer, shown())
    elif fault.kind in BROKEN:
        peer.transport.write(BROKEN[fault.kind])
    if fault.kind in ENDS_HERE:
        await asyncio.sleep(STEP_S)
        peer.transport.abort()


async def replay_half(peer: ServerConnection, shown: Sequence[Post]) -> None:
    """Everything that was ever said, without any deletion: as if the second half of the window were missing."""
    for post in shown:
        if post.kind == "create":
            await peer.send(wire.jetstream_frame(post))


async def stream(
    peer: ServerConnection,
    cursor: int | None,
    shown: Callable[[int | None], list[Post]],
    delivered: Callable[[Sequence[Post]], None],
    fault: Fault | None,
) -> None:
    """Replay from the cursor on, that event included, then what appears; without a cursor only the latter."""
    sent = set() if cursor is not None else {post.event for post in shown(None)}
    since = cursor or 0
    most = None  # the whole look-back once, then what is new
    binary = fault is not None and fault.kind == "binary"
    try:
        if fault is not None:
            await misbehave(peer, fault, lambda: shown(None))
        while peer.state is State.OPEN:
            fresh = [post for post in shown(most) if post.event not in sent]
            for post in fresh:
                sent.add(post.event)
                if wire.time_us(post) >= since:
                    frame = wire.jetstream_frame(post)
                    await peer.send(frame.encode() if binary else frame)
            delivered(fresh)
            most = LISTED
            await asyncio.sleep(STEP_S)
    except ConnectionClosed:
        pass
