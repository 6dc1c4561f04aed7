"""The address that a server listens on: a socket that is bound before anything heavy is loaded, so that one that is taken costs no time."""

import socket


def listening_socket(host: str | None, port: int, *, backlog: int) -> socket.socket:
    """A socket that listens; who connects before the server runs waits for it.

    Args:
        host: an address or name of this machine; None is all of them.
        port: 0 takes a free one.
        backlog: connections that the system keeps until they are accepted.

    Raises:
        OSError: it cannot be had; `socket.gaierror` where there is no such address.
        UnicodeError: the host cannot be a name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    # the protocol is named because asyncio turns Nagle's algorithm off only then; with it, every answer waits 40 ms for an acknowledgment
    bound = socket.socket(found[0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(found[4])
        bound.listen(backlog)  # two that are only bound could share an address until one of them listens
    except OSError:
        bound.close()
        raise
    bound.set_inheritable(False)
    return bound
