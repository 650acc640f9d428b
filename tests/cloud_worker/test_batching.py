import pytest

from cloud_worker.batching import BatchPolicy, batch_size, patience_ns

ONE, EIGHT = BatchPolicy(), BatchPolicy(max_size=8, max_wait_ns=1000)


@pytest.mark.parametrize(
    ("policy", "waiting", "oldest_wait_ns", "size", "patience"),
    [
        (ONE, 0, 0, 0, None),
        (ONE, 1, 0, 1, 0),
        (ONE, 5, 0, 1, 0),
        (EIGHT, 0, 0, 0, None),
        (EIGHT, 3, 0, 0, 1000),
        (EIGHT, 3, 400, 0, 600),
        (EIGHT, 3, 1000, 3, 0),
        (EIGHT, 8, 0, 8, 0),
        (EIGHT, 20, 5000, 8, 0),
    ],
)
def test_a_batch_runs_when_it_is_full_or_its_first_waited_long_enough(
    policy, waiting, oldest_wait_ns, size, patience
):
    assert batch_size(policy, waiting=waiting, oldest_wait_ns=oldest_wait_ns) == size
    assert patience_ns(policy, waiting=waiting, oldest_wait_ns=oldest_wait_ns) == patience
