"""A budget that refills evenly."""

from edge_node.tokens import TokenBucket

S = 1_000_000_000


def test_a_burst_may_be_used_at_once_and_comes_back_evenly():
    bucket = TokenBucket(per_s=5, burst=10)
    for _ in range(10):
        assert bucket.has_one(now_ns=0)
        bucket.take(now_ns=0)
    assert not bucket.has_one(now_ns=0)
    assert not bucket.has_one(now_ns=S // 5 - 1)
    assert bucket.has_one(now_ns=S // 5)
    assert sum(take(bucket, S * second) for second in range(100, 110)) == 10
    assert take(bucket, 109 * S) == 1, "no more than the burst was saved up, and five a second came back"


def take(bucket, now_ns):
    had = bucket.has_one(now_ns=now_ns)
    bucket.take(now_ns=now_ns)
    return had


def test_an_empty_budget_owes_nothing_and_time_never_runs_backwards():
    bucket = TokenBucket(per_s=1, burst=1)
    for _ in range(5):
        bucket.take(now_ns=S)
    assert not bucket.has_one(now_ns=0)
    assert bucket.has_one(now_ns=2 * S)


def test_other_numbers_count_from_then_on():
    bucket = TokenBucket(per_s=5, burst=10)
    bucket.use(per_s=0, burst=2)
    assert [take(bucket, second * S) for second in range(3)] == [True, True, False]
