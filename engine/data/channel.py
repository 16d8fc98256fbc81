"""A two-way connection between two processes: framed messages, and open files beside them."""

from __future__ import annotations

import os
import socket
import struct
import weakref

_HEAD = struct.Struct("<QI")
_MAX_FDS = 4
CAN_PASS_FILES = hasattr(socket, "send_fds")

_parent_ends: weakref.WeakSet[Channel] = weakref.WeakSet()


class Channel:
    """One end of a socket pair. ``recv`` raises EOFError when the other end is gone."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    @staticmethod
    def pair() -> tuple[Channel, socket.socket]:
        """This process's end, and the socket to give to the other process."""
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        _parent_ends.add(channel)
        return channel, theirs

    def fileno(self) -> int:
        """The socket's descriptor, -1 when closed."""
        return self.sock.fileno()

    def send(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send ``data`` and duplicates of the open files ``fds``."""
        head = _HEAD.pack(len(data), len(fds))
        if fds:
            socket.send_fds(self.sock, [head], fds)
            self.sock.sendall(data)
        elif len(data) < 1 << 16:
            self.sock.sendall(head + data)
        else:
            self.sock.sendall(head)
            self.sock.sendall(data)

    def recv(self) -> tuple[bytearray, list[int]]:
        """The next message and the files that came with it (the caller closes them)."""
        head, fds = self._head()
        size, count = _HEAD.unpack(head)
        if len(fds) != count:
            for fd in fds:
                os.close(fd)
            raise OSError("an open file was lost between processes (too many open files?)")
        return self._exactly(size), fds

    def close(self) -> None:
        """Close this end; the other one reads EOF."""
        self.sock.close()

    def _head(self) -> tuple[bytes, list[int]]:
        if not CAN_PASS_FILES:
            return bytes(self._exactly(_HEAD.size)), []
        head, fds, _, _ = socket.recv_fds(self.sock, _HEAD.size, _MAX_FDS)
        if not head:
            raise EOFError("the other end is closed")
        return head + self._exactly(_HEAD.size - len(head)), fds

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            count = self.sock.recv_into(view[done:])
            if not count:
                raise EOFError("the other end is closed")
            done += count
        return data


def close_parent_ends() -> None:
    """In a forked worker: drop the inherited ends, so that EOF still tells when the parent is gone."""
    for channel in list(_parent_ends):
        channel.close()
    _parent_ends.clear()
