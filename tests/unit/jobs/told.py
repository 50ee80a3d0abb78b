"""What is told of fleets in tests: a judge fleet at work, one that cannot start, any at all."""

from __future__ import annotations

from hypothesis import strategies as st

from jobs.fleet.told import Told, ToldFleet, ToldReplica

NOW_S = 1_700_000_000.0

JUDGE = ToldFleet(
    name="judge",
    role="judge",
    model="org/judge@abc",
    wanted=3,
    reason="4,120 rows left need 3 replicas within 600 s",
    min_replicas=0,
    max_replicas=4,
    replicas=(
        ToldReplica(
            name="judge-0",
            state="ready",
            since=NOW_S - 754,
            url="http://127.0.0.1:4001",
            running=120,
            waiting=23,
            tokens_per_s=4812.4,
            kv_use=0.634,
            prefix_hit_rate=0.917,
            preemptions=2,
            start_s=61.0,
        ),
        ToldReplica(name="judge-1", state="ready", since=NOW_S - 12, running=0, waiting=0),
        ToldReplica(name="judge-2", state="starting", since=NOW_S - 3),
    ),
    rows_left=4120,
    tokens_per_s=5000.0,
    tokens_per_row=310.0,
    cold_start_s=58.0,
    starts=4,
    failed_starts=1,
    lost=1,
)
BROKEN = ToldFleet(
    name="policy[rows=500]",
    role="policy",
    model="models:/policy@champion",
    wanted=1,
    reason="the first replica is needed",
    min_replicas=0,
    max_replicas=1,
    problem="it cannot start: no such model",
)
TOLD = Told(at=NOW_S, pid=4711, fleets=(JUDGE, BROKEN))

HOSTILE = '\x1b[31mred\r\nline\t\u202egnp.exe 判定 👩‍👩‍👧 {judge} [bold]x[/] \\ " \x00'

names = st.text(max_size=40) | st.just(HOSTILE)
counts = st.integers(0, 10**12)
shares = st.floats(0, 1)
replicas = st.builds(
    ToldReplica,
    name=names,
    state=st.sampled_from(["starting", "ready", "draining"]) | names,
    since=st.floats(-1e12, 1e12),
    running=st.none() | counts,
    waiting=st.none() | counts,
    tokens_per_s=st.none() | st.floats(0, 1e12),
    kv_use=st.none() | shares,
    prefix_hit_rate=st.none() | shares,
    preemptions=st.none() | counts,
)
fleets = st.builds(
    ToldFleet,
    name=names,
    role=names,
    model=names,
    wanted=counts,
    reason=names,
    min_replicas=counts,
    max_replicas=counts,
    replicas=st.lists(replicas, max_size=12).map(tuple),
    problem=st.just("") | names,
)
tolds = st.builds(
    Told, at=st.floats(0, 1e12), pid=st.integers(), fleets=st.lists(fleets, max_size=4).map(tuple)
)
