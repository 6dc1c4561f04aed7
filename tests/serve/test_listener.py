"""The address that a server listens on."""

import asyncio
import socket

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from speechadapt.serve.listener import bind


def test_answers_are_sent_at_once() -> None:
    """Nagle's algorithm is off on what is accepted: with it an answer, which is sent in two parts, waits 40 ms for an acknowledgment."""

    async def accepted() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with bind("127.0.0.1", 0) as address:
            server = await asyncio.start_server(take, sock=address)
            _, writer = await asyncio.open_connection(*address.getsockname())
            value = await found
            writer.close()
            await writer.wait_closed()
            server.close()
        return value

    assert asyncio.run(accepted()) != 0
