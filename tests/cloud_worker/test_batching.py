import pytest

from cloud_worker.batching import BatchPolicy, Head, batch_size, patience_ns

ONE, EIGHT = BatchPolicy(), BatchPolicy(max_size=8, max_wait_ns=1000)


def head(waited_ns: int, *, left_ns: int = 1_000_000, run_ns: int = 0) -> Head:
    return Head(waited_ns=waited_ns, left_ns=left_ns, run_ns=run_ns)


def decide(policy: BatchPolicy, waiting: int, first: Head | None) -> tuple[int, int | None]:
    return (
        batch_size(policy, waiting=waiting, head=first),
        patience_ns(policy, waiting=waiting, head=first),
    )


@pytest.mark.parametrize(
    ("policy", "waiting", "first", "size", "patience"),
    [
        (ONE, 0, None, 0, None),
        (ONE, 1, head(0), 1, 0),
        (ONE, 5, head(0), 1, 0),
        (EIGHT, 0, None, 0, None),
        (EIGHT, 3, head(0), 0, 1000),
        (EIGHT, 3, head(400), 0, 600),
        (EIGHT, 3, head(1000), 3, 0),
        (EIGHT, 8, head(0), 8, 0),
        (EIGHT, 20, head(5000), 8, 0),
    ],
)
def test_a_batch_runs_when_it_is_full_or_its_first_waited_long_enough(policy, waiting, first, size, patience):
    assert decide(policy, waiting, first) == (size, patience)


def test_company_is_not_waited_for_longer_than_the_first_has_time_to_run_with_it():
    assert decide(EIGHT, 1, head(0, left_ns=500, run_ns=100)) == (0, 300)
    assert decide(EIGHT, 1, head(0, left_ns=200, run_ns=100)) == (1, 0)


def test_a_first_that_has_no_time_for_one_more_runs_at_once():
    assert decide(EIGHT, 1, head(0, left_ns=150, run_ns=100)) == (1, 0)


def test_a_full_batch_is_cut_to_what_the_first_can_afford():
    assert decide(EIGHT, 8, head(0, left_ns=350, run_ns=100)) == (3, 0)
    assert decide(EIGHT, 8, head(0, left_ns=50, run_ns=100)) == (1, 0)
