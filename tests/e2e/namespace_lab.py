"""Three workers in network namespaces of their own, joined by veth pairs: as near to three hosts as one machine gets.

A program, run inside a fresh network namespace (`unshare --net`), so that nothing of the machine's own network is
touched or reached. The proxies and the master stay in the middle; no worker shares a host with a proxy, so every
byte is relayed.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.crash_load import CrashLoad
from tests.support.real_cluster import RealCluster

_MASTER = "10.77.99.1"


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def host(stack: contextlib.ExitStack, number: int) -> list[str]:
    """Makes a namespace that reaches the middle; the command that runs another one in it."""
    keeper = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo made; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert keeper.stdout is not None
    assert keeper.stdin is not None
    stack.callback(keeper.wait)
    stack.callback(keeper.stdout.close)
    stack.callback(keeper.stdin.close)
    assert keeper.stdout.readline() == b"made\n"
    inside = ["nsenter", f"--target={keeper.pid}", "--net"]
    run("ip", "link", "add", f"hub{number}", "type", "veth", "peer", "name", "eth0", "netns", str(keeper.pid))
    run("ip", "addr", "add", f"10.77.{number}.1/24", "dev", f"hub{number}")
    run("ip", "link", "set", f"hub{number}", "up")
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "addr", "add", f"10.77.{number}.2/24", "dev", "eth0")
    run(*inside, "ip", "link", "set", "eth0", "up")
    run(*inside, "ip", "route", "add", "default", "via", f"10.77.{number}.1")
    return inside


def main(seconds: float) -> None:
    """For so long, and once at least for each worker; prints how many cables were pulled."""
    deadline, pulled = time.monotonic() + seconds, 0
    with contextlib.ExitStack() as stack:
        run("ip", "link", "set", "lo", "up")
        run("ip", "addr", "add", f"{_MASTER}/32", "dev", "lo")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        launchers = {f"worker-{number}": host(stack, number) for number in range(3)}
        listen = {f"worker-{number}": {"listen": [f"tcp://10.77.{number}.2:0"]} for number in range(3)}
        shared = {"cluster_secret": secrets.token_hex(16), "rpc_plaintext": True, "host_id": ""}
        cluster = stack.enter_context(
            RealCluster(settings={"cluster": shared, **listen}, master_host=_MASTER, launchers=launchers)
        )
        connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=30)
        connection.request("PUT", "/hosts")
        assert connection.getresponse().status == 200
        connection.close()
        policies = ("cache_through", "async_through")
        load = CrashLoad("127.0.0.1", cluster.port, "hosts", writers=2, policies=policies, may_fail=False)
        load.start()
        try:
            while pulled < 3 or time.monotonic() < deadline:
                number = pulled % 3
                pulled += 1
                load.wait_for_acknowledgements(10, timeout_s=60)
                marks = cluster.marks()
                load.allow_failures()
                # A cable that is pulled: no packet comes any more, and nobody says so.
                run("ip", "link", "set", f"hub{number}", "down")
                cluster.wait_given_up(f"worker-{number}", marks)
                load.forbid_failures()
                load.wait_for_acknowledgements(10, timeout_s=60)
                marks = cluster.marks()
                load.allow_failures()
                run("ip", "link", "set", f"hub{number}", "up")
                worker_id = cluster.worker_id(f"worker-{number}")
                for proxy, mark in marks.items():
                    cluster.wait_line(proxy, rf"worker {worker_id} is live", after=mark)
                load.forbid_failures()
        finally:
            load.finish()
        load.check()
    sys.stdout.write(f"{pulled}\n")


if __name__ == "__main__":
    os.environ["PYTHONUNBUFFERED"] = "1"
    main(float(sys.argv[1]))
