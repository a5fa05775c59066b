# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The runs of scripts/soak that are of dlo-redrive."""

import itertools
import time

FILTER_EVERY = 1000
FILTER_SECONDS = 10
FILTER_MIB = 64
# The filter's, and 16 bytes for the id of each letter that was moved, in a table
# that may be half empty.
MILLION_MIB = FILTER_MIB + 32
STEP_S = 5


def redrive_case(run):
    """The run's case, from now on one with dead letters."""
    from redrive_case import RedriveCase  # when the path is set
    run.close()
    run.case = RedriveCase()
    run.case.setUp()
    return run.case


def once(case, config, *args):
    """--once to its end: (exit code, stdout, seconds, MiB at most)."""
    from program import Program
    program = Program("dlo-redrive", "-c", case.write_config(config),
                      "--once", *args)
    start = time.monotonic()
    peak = 0.0
    while program.alive():
        try:
            with open(f"/proc/{program.pid}/status",
                      encoding="ascii") as file:
                peak = max([peak] + [
                    int(line.split()[1]) / 1024 for line in file
                    if line.startswith("VmHWM:")])
        except OSError:
            pass
        time.sleep(0.02)
    took = time.monotonic() - start
    return program.wait(), program.stdout, took, peak


def run_filter(run):
    """One in a thousand of very many goes, the rest stays in its order."""
    case = redrive_case(run)
    count = run.args.filter_letters
    config = case.redrive_config(rate=1000)
    del config["pipelines"]["orders"]["redrive"]["canary"]
    once(case, config)
    consumer = run.consumer(config)
    ids = case.bury([f"m-{n}" for n in range(count)],
                    lambda n: "deadline" if n % FILTER_EVERY == 0
                    else "rejected", body=b"x" * 200)
    code, out, took, peak = once(case, config, "--reason", "deadline")
    print(f"  {out.strip()}", flush=True)
    run.check(code == 0 and f"{-(-count // FILTER_EVERY)} redriven" in out,
              f"{-(-count // FILTER_EVERY)} of {count} redriven")
    run.check(took < FILTER_SECONDS, f"in {took:.1f} s")
    run.check(peak < FILTER_MIB, f"{peak:.0f} MiB resident at most")
    # The broker takes its time to put them back.
    case.wait_depth("orders.dlq", count - -(-count // FILTER_EVERY))
    run.check(case.ids_in("orders.dlq") ==
              [one for n, one in enumerate(ids) if n % FILTER_EVERY],
              "the rest is there, in its order")
    run.check(consumer.terminate() == 0, "TERM ends the consumer with 0")


def pushes(refused):
    """How long each row of refusals lasts that a second of peace ends."""
    begin = last = None
    for at in itertools.chain(refused, [float("inf")]):
        if last is not None and at - last > 1:
            yield last - begin
        if last is None or at - last > 1:
            begin = at
        last = at


def run_collapse(run):
    """A downstream that takes 100 a second, and a redrive that could do
    more."""
    from soak_shop import LimitedShop
    case = redrive_case(run)
    shop = LimitedShop(100, 0.02)
    case.addCleanup(shop.close)
    config = case.config(
        None, downstreams={"shop": {"noop": None, "http": {"url": shop.url}}},
        pipelines={"orders": {"retry": {"attempts": 20},
                              "redrive": {"rate": 1000}}})
    once(case, config)
    consumer = run.consumer(config)
    case.bury([f"m-{n}" for n in range(run.args.collapse_letters)])
    code, out, took, _ = once(case, config)
    print(f"  {out.strip()} in {took:.0f} s", flush=True)
    run.check(code == 0, "complete")
    case.wait_totals("orders", total=0, timeout=120)
    run.check(case.depth("orders.dlq") == 0, "no dead letter")
    run.check(consumer.terminate() == 0, "TERM ends the consumer with 0")
    seen = shop.close()
    refused = [at for at, _, status in seen if status != 200]
    longest = max(pushes(refused), default=0)
    run.check(longest < STEP_S,
              f"{len(refused)} of {len(seen)} refused, for {longest:.1f} s "
              "in a row at most")


def run_million(run):
    """A whole dead-letter queue, far larger than any window, goes back."""
    case = redrive_case(run)
    count = run.args.million_letters
    ids = set(case.bury([f"m-{n}" for n in range(count)], body=b"x" * 100))
    print(f"  {count} are dead", flush=True)
    code, out, took, peak = once(case, case.redrive_config(rate=1000000))
    print(f"  {out.strip()} in {took:.0f} s", flush=True)
    run.check(code == 0 and f"{count} redriven" in out, "complete")
    run.check(peak < MILLION_MIB, f"{peak:.0f} MiB resident at most")
    run.check(case.depth("orders.dlq") == 0, "no dead letter is left")
    moved = case.ids_in("orders")
    run.check(set(moved) == ids and len(moved) == count,
              f"{len(moved)} in the work queue: each of them once")
