"""Several servers behind one upstream: who gets a request, who is left, who comes back, who waits."""

import asyncio
import concurrent.futures
import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.data_plane import Plane, get, post, running_plane
from tests.integration.raw_client import CutShort, RawClient, assert_refusal
from tests.integration.scripted_upstream import (
    Link,
    Received,
    Script,
    ScriptedUpstream,
    answers,
    deaf,
    echo,
    never_accepting_port,
    plain,
    refusing_port,
    silent,
)

ROOM = 0.5  # for a busy machine, on top of every wait


@contextlib.contextmanager
def group(folder: Path, *servers: ScriptedUpstream | str, **settings: Any) -> Iterator[Plane]:
    """A gateway with these servers, or URLs, behind `/group`; `settings` are the upstream's."""
    urls = [server if isinstance(server, str) else server.url for server in servers]
    with running_plane(
        folder,
        further_upstreams={"group": {"servers": urls, **settings}},
        routes=[{"path": "/group", "upstream": "group", "access": "public"}],
    ) as plane:
        yield plane


@contextlib.contextmanager
def scripted(count: int) -> Iterator[list[ScriptedUpstream]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(ScriptedUpstream().running()) for _ in range(count)]


def log_lines(plane: Plane, event: str) -> list[str]:
    return re.findall(rf"{event} (name=.*)", plane.gateway.output())


def named(name: str) -> Script:
    """Answers with its name, and by reading everything first."""

    async def script(link: Link, received: Received) -> None:
        await link.read_body(received)
        await link.send(plain(name.encode()))

    return script


def wait_for_line(plane: Plane, event: str, count: int = 1) -> None:
    plane.upstream.wait_until(lambda: len(log_lines(plane, event)) >= count)


# Who gets a request.


def test_round_robin_gives_each_server_its_turn(tmp_path: Path) -> None:
    with scripted(3) as servers, group(tmp_path, *servers) as plane, plane.connect() as client:
        for number in range(12):
            client.send(get(f"/group/{number}"))
            assert client.read().status == 200
        assert [len(server.requests) for server in servers] == [4, 4, 4]
        assert servers[0].targets() == ["/group/0", "/group/3", "/group/6", "/group/9"]
        assert [len(server.links) for server in servers] == [1, 1, 1]


def test_least_connections_goes_where_the_fewest_requests_are_in_flight(tmp_path: Path) -> None:
    with scripted(2) as servers, group(tmp_path, *servers, balance="least-connections") as plane:
        slow, quick = servers
        slow.play(silent)
        with contextlib.ExitStack() as stack:
            # The first lands on the slow one and stays there; the quick one takes all that come one after the other.
            stack.enter_context(plane.connect()).send(get("/group/held"))
            slow.wait_until(lambda: len(slow.requests) == 1)
            for number in range(10):
                assert plane.ask(get(f"/group/{number}")).body == b"/group/%d" % number
            assert (len(slow.requests), len(quick.requests)) == (1, 10)
            # At the same time they spread by what is in flight.
            quick.play(silent)
            for number in range(9):
                stack.enter_context(plane.connect()).send(get(f"/group/more/{number}"))
            quick.wait_until(lambda: len(slow.requests) + len(quick.requests) == 20)
            assert (len(slow.requests), len(quick.requests) - 10) == (5, 5)


# Who is left, and comes back.


def test_s77_a_server_killed_under_load_costs_no_get_and_comes_back(tmp_path: Path) -> None:
    """Every GET is answered, and none is tried at the dead server more than once."""
    with (
        scripted(1) as (survivor,),
        ScriptedUpstream().running() as victim,
        group(tmp_path, survivor, victim, health={"pause": "200ms"}) as plane,
        concurrent.futures.ThreadPoolExecutor(8) as executor,
    ):
        is_over = False

        def load(number: int) -> Counter[int]:
            statuses: Counter[int] = Counter()
            with plane.connect() as client:
                while not is_over:
                    client.send(get(f"/group/{number}/{statuses.total()}"))
                    statuses[client.read().status] += 1
            return statuses

        running = [executor.submit(load, number) for number in range(8)]
        victim.wait_until(lambda: len(victim.requests) > 200)
        victim.die()
        died_with = len(victim.requests)
        wait_for_line(plane, "upstream_down")
        survivor.wait_until(lambda: len(survivor.requests) > died_with + 1000)
        with ScriptedUpstream(port=victim.port).running() as revived:
            revived.wait_until(lambda: len(revived.requests) > 200)
            is_over = True
            total = sum((future.result() for future in running), Counter())
            tries = Counter(survivor.targets() + victim.targets() + revived.targets())
        assert set(total) == {200}
        assert max(Counter(victim.targets()).values()) == 1
        assert max(tries.values()) <= 2
        label = f"name=group server={victim.url}"
        assert [line.partition(" reason=")[0] for line in log_lines(plane, "upstream_down")] == [label]
        assert log_lines(plane, "upstream_up") == [label]


def test_s77_a_post_is_never_sent_twice(tmp_path: Path) -> None:
    """Each server takes the whole request and resets: only what was never sent may go to the next server."""

    async def takes_and_resets(link: Link, received: Received) -> None:
        await link.read_body(received)
        link.reset()

    with scripted(2) as servers, refusing_port() as refusing:
        for server in servers:
            server.play(takes_and_resets)
        with group(tmp_path, f"http://127.0.0.1:{refusing}", *servers) as plane:
            for number in range(6):
                assert_refusal(plane.ask(post(f"/group/{number}", b"body")), 502, "upstream_broken")
        targets = [target for server in servers for target in server.targets()]
        assert sorted(targets) == [f"/group/{number}" for number in range(6)]


@pytest.mark.parametrize("raw", [post("/group/x", b"body"), get("/group/x"), get("/group/x", method="PATCH")])
def test_what_was_never_sent_goes_to_the_next_server(tmp_path: Path, raw: bytes) -> None:
    with scripted(1) as (server,), refusing_port() as refusing, never_accepting_port() as full:
        urls = [f"http://127.0.0.1:{refusing}", f"http://127.0.0.1:{full}", "http://nowhere.invalid"]
        with group(tmp_path, *urls, server, connect_timeout="200ms") as plane:
            assert plane.ask(raw).status == 200
            for _ in range(5):
                assert plane.ask(raw).status == 200
            assert len(server.requests) == 6
            assert {line.partition(" server=")[2] for line in log_lines(plane, "upstream_down")} == {
                f"{urls[0]} reason=upstream_unreachable",
                f"{urls[1]} reason=upstream_connect_timeout",
                f"{urls[2]} reason=upstream_unreachable",
            }


def test_s77_an_idempotent_request_goes_to_three_servers_at_most(tmp_path: Path) -> None:
    with scripted(4) as servers:
        for server in servers:
            server.play(answers(b"", end="reset"))
        with group(tmp_path, *servers) as plane:
            assert_refusal(plane.ask(get("/group/x")), 502, "upstream_broken")
        assert sorted(len(server.requests) for server in servers) == [0, 1, 1, 1]


def test_when_all_servers_are_down_the_answer_is_502_until_one_is_back(tmp_path: Path) -> None:
    # Pauses of an hour: what comes back here comes back because nobody else is there.
    with scripted(2) as servers, group(tmp_path, *servers, health={"pause": "1h", "max_pause": "1h"}) as plane:
        for server in servers:
            server.die()
        for _ in range(3):
            assert_refusal(plane.ask(get("/group/x")), 502, "upstream_unreachable")
        assert len(log_lines(plane, "upstream_down")) == 2
        with ScriptedUpstream(port=servers[1].port).running() as revived:
            for _ in range(3):
                assert plane.ask(post("/group/x", b"body")).status == 200
            assert len(revived.requests) == 3
        assert log_lines(plane, "upstream_up") == [f"name=group server={revived.url}"]


def test_a_server_that_is_tried_again_too_early_waits_longer(tmp_path: Path) -> None:
    with scripted(1) as (server,), refusing_port() as refusing:
        dead = f"http://127.0.0.1:{refusing}"
        with group(tmp_path, dead, server, health={"pause": "50ms"}) as plane:
            begun = time.monotonic()
            while time.monotonic() - begun < 1:
                assert plane.ask(get("/group/x")).status == 200
            # Down once, however often it was tried.
            assert len(log_lines(plane, "upstream_down")) == 1
            assert log_lines(plane, "upstream_up") == []


def test_one_request_that_is_too_slow_does_not_take_its_server_from_the_others(tmp_path: Path) -> None:
    async def slow_at_times(link: Link, received: Received) -> None:
        await (silent if received.target == "/group/slow" else echo)(link, received)

    with scripted(2) as servers:
        for server in servers:
            server.play(slow_at_times)
        with group(tmp_path, *servers, response_timeout="2s") as plane, plane.connect() as slow:
            slow.send(get("/group/slow"))
            servers[0].wait_until(lambda: len(servers[0].requests) == 1)
            for _ in range(4):
                assert plane.ask(get("/group/x")).status == 200
            assert_refusal(slow.read(), 504, "upstream_timeout")
            assert plane.ask(get("/group/x")).status == 200
            assert log_lines(plane, "upstream_down") == []


def test_a_server_that_takes_requests_and_answers_none_is_left(tmp_path: Path) -> None:
    with scripted(2) as (hung, well), group(tmp_path, hung, well, response_timeout="300ms") as plane:
        hung.play(silent)
        assert_refusal(plane.ask(get("/group/first")), 504, "upstream_timeout")
        for number in range(4):
            assert plane.ask(get(f"/group/{number}")).status == 200
        assert hung.targets() == ["/group/first"]
        assert log_lines(plane, "upstream_down") == [f"name=group server={hung.url} reason=upstream_timeout"]


# Health checks.


def test_health_checks_take_a_server_out_and_bring_it_back(tmp_path: Path) -> None:
    is_well = True

    async def ill_at_times(link: Link, received: Received) -> None:
        if received.target == "/health" and not is_well:
            await link.send(plain(b"", status=b"503 Service Unavailable"))
        else:
            await echo(link, received)

    health = {"path": "/health", "interval": "30ms", "timeout": "1s"}
    with scripted(2) as (first, second), group(tmp_path, first, second, health=health) as plane:
        first.play(ill_at_times)
        first.wait_until(lambda: "/health" in first.targets())
        check = next(received for received in first.requests if received.target == "/health")
        assert check.request_line == "GET /health HTTP/1.1"
        assert check.values("host") == [f"127.0.0.1:{first.port}"]
        assert check.values("authorization") == check.folded("x-user-id") == []
        is_well = False
        wait_for_line(plane, "upstream_down")
        for number in range(6):
            assert plane.ask(get(f"/group/{number}")).status == 200
        assert [target for target in first.targets() if target != "/health"] == []
        is_well = True
        wait_for_line(plane, "upstream_up")
        for number in range(6):
            assert plane.ask(get(f"/group/{number}")).status == 200
        assert len([target for target in first.targets() if target != "/health"]) == 3
        label = f"name=group server={first.url}"
        assert log_lines(plane, "upstream_down") == [f"{label} reason=health_check"]
        assert log_lines(plane, "upstream_up") == [label]


def test_a_server_that_its_checks_have_taken_out_gets_nothing_even_alone(tmp_path: Path) -> None:
    health = {"path": "/health", "interval": "30ms", "timeout": "200ms"}
    with scripted(1) as (server,), group(tmp_path, server, health=health) as plane:
        server.play(silent)
        wait_for_line(plane, "upstream_down")
        assert_refusal(plane.ask(get("/group/x")), 502, "upstream_unreachable")
        assert set(server.targets()) == {"/health"}


# Who waits.

QUEUE = {"max": 2, "queue": 2, "queue_timeout": "400ms"}


def hold(plane: Plane, server: ScriptedUpstream, stack: contextlib.ExitStack, count: int) -> list[RawClient]:
    """Clients whose requests the server holds."""
    server.play(silent)
    clients = [stack.enter_context(plane.connect()) for _ in range(count)]
    for number, client in enumerate(clients):
        client.send(get(f"/group/held/{number}"))
    server.wait_until(lambda: len(server.requests) == count)
    return clients


def test_s81_requests_wait_in_their_order_for_a_connection(tmp_path: Path) -> None:
    async def one_by_one(link: Link, received: Received) -> None:
        await asyncio.sleep(0.02)
        await echo(link, received)

    connections = {"max": 1, "queue": 20, "queue_timeout": "5s"}
    with scripted(1) as (server,), group(tmp_path, server, connections=connections) as plane:
        server.play(one_by_one)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(plane.connect()) for _ in range(10)]
            for number, client in enumerate(clients):
                client.send(get(f"/group/{number}"))
                time.sleep(0.005)
            assert [client.read().body for client in clients] == [b"/group/%d" % number for number in range(10)]
        assert server.targets() == [f"/group/{number}" for number in range(10)]
        assert len(server.links) == 1


def test_s81_more_than_the_queue_holds_are_503_at_once_and_the_rest_in_time(tmp_path: Path) -> None:
    with (
        scripted(1) as (server,),
        group(tmp_path, server, connections=QUEUE) as plane,
        contextlib.ExitStack() as stack,
    ):
        hold(plane, server, stack, 2)
        waiting = [stack.enter_context(plane.connect()) for _ in range(2)]
        begun = time.monotonic()
        for client in waiting:
            client.send(get("/group/waiting"))
        time.sleep(0.1)
        answer = plane.ask(get("/group/refused"))
        assert time.monotonic() - begun < 0.4
        assert_refusal(answer, 503, "upstream_busy")
        assert answer.field("retry-after") == "1"
        for client in waiting:
            assert_refusal(client.read(), 503, "upstream_busy")
        assert 0.36 < time.monotonic() - begun < 0.4 + ROOM
        assert len(server.requests) == 2


def test_s81_a_client_that_leaves_the_queue_keeps_no_place(tmp_path: Path) -> None:
    connections = {"max": 1, "queue": 2, "queue_timeout": "5s"}
    with (
        scripted(1) as (server,),
        group(tmp_path, server, connections=connections) as plane,
        contextlib.ExitStack() as stack,
    ):
        (held,) = hold(plane, server, stack, 1)
        with plane.connect() as leaving:
            leaving.send(get("/group/leaving"))
            staying = stack.enter_context(plane.connect())
            time.sleep(0.05)
            staying.send(get("/group/staying"))
            time.sleep(0.05)
            leaving.vanish()
        plane.upstream.wait_until(lambda: '"reason":"client_gone"' in plane.gateway.output())
        server.play(echo)
        held.vanish()
        assert staying.read().body == b"/group/staying"
        assert server.targets() == ["/group/held/0", "/group/staying"]


def test_a_full_server_is_passed_over(tmp_path: Path) -> None:
    with (
        scripted(2) as (full, free),
        group(tmp_path, full, free, connections={"max": 1}) as plane,
        contextlib.ExitStack() as stack,
    ):
        full.play(silent)
        stack.enter_context(plane.connect()).send(get("/group/held"))
        full.wait_until(lambda: len(full.requests) == 1)
        for number in range(4):
            assert plane.ask(get(f"/group/{number}")).status == 200
        assert (len(full.requests), len(free.requests)) == (1, 4)


# Time-outs (checklist 82).


def test_s82_a_server_that_takes_no_more_of_the_body_is_a_504(tmp_path: Path) -> None:
    with scripted(1) as (server,), group(tmp_path, server, send_timeout="300ms") as plane:
        server.play(deaf)
        with plane.connect() as client:
            client.socket.settimeout(0.2)
            client.send(get("/group/x", b"Content-Length: 100000000", method="POST"))
            with contextlib.suppress(TimeoutError):
                while True:
                    client.socket.sendall(b"x" * 100_000)
            client.socket.settimeout(5)
            assert_refusal(client.read(), 504, "upstream_send_timeout")


def test_s82_silence_inside_an_answer_cuts_it(tmp_path: Path) -> None:
    settings = {"read_timeout": "200ms", "response_timeout": "5s"}
    with scripted(1) as (server,), group(tmp_path, server, **settings) as plane:
        server.play(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", end="stall"))
        begun = time.monotonic()
        with pytest.raises(CutShort) as cut:
            plane.ask(get("/group/x"))
        assert (cut.value.status, cut.value.body) == (200, b"half")
        assert 0.18 < time.monotonic() - begun < 0.2 + ROOM
        plane.upstream.wait_until(lambda: '"reason":"upstream_stalled"' in plane.gateway.output())


def test_s82_the_first_byte_may_take_longer_than_the_next(tmp_path: Path) -> None:
    async def slow_to_begin(link: Link, received: Received) -> None:
        await asyncio.sleep(0.5)
        await echo(link, received)

    settings = {"read_timeout": "200ms", "response_timeout": "5s"}
    with scripted(1) as (server,), group(tmp_path, server, **settings) as plane:
        server.play(slow_to_begin)
        assert plane.ask(get("/group/x")).body == b"/group/x"


# Other kinds of servers.


def test_a_server_on_a_unix_socket(tmp_path: Path) -> None:
    routes: list[Mapping[str, Any]] = [{"path": "/u", "upstream": "u", "access": "public", "host": "upstream"}]
    with (
        ScriptedUpstream(path=str(tmp_path / "app.sock")).running() as server,
        running_plane(tmp_path, further_upstreams={"u": {"servers": [server.url]}}, routes=routes) as plane,
    ):
        for number in range(3):
            assert plane.ask(post(f"/u/{number}", b"body")).body == b"/u/%d" % number
        assert len(server.links) == 1
        assert server.requests[0].values("host") == ["localhost"]
        server.die()
        assert_refusal(plane.ask(get("/u/x")), 502, "upstream_unreachable")


def test_all_addresses_of_a_name_are_tried(tmp_path: Path) -> None:
    """`localhost` is ::1 and 127.0.0.1 on most machines; the server listens on the second alone."""
    with scripted(1) as (server,), group(tmp_path, f"http://localhost:{server.port}") as plane:
        assert plane.ask(get("/group/x")).body == b"/group/x"
