"""How busy the host was is told in shares of all cores, and the rest is others'."""

from bench.host_use import HostUse


def test_what_others_did_is_what_was_done_less_our_own():
    before = HostUse(at_s=10.0, busy_s=100.0, steal_s=5.0, disk_s=1.0, own_s=3.0)
    after = HostUse(at_s=20.0, busy_s=116.0, steal_s=6.0, disk_s=1.0, own_s=7.0)
    assert after.since(before, cores=2) == {
        "busy_share": 0.8,
        "others_share": 0.6,
        "steal_share": 0.05,
        "disk_share": 0.0,
    }


def test_children_that_still_run_leave_no_share_below_nought():
    before = HostUse(at_s=10.0, busy_s=100.0, steal_s=0.0, disk_s=0.0, own_s=3.0)
    after = HostUse(at_s=11.0, busy_s=100.5, steal_s=0.0, disk_s=0.0, own_s=5.0)
    assert after.since(before, cores=1)["others_share"] == 0


def test_this_host_says_what_it_did():
    before = HostUse.now()
    shares = HostUse.now().since(before)
    assert shares.keys() == {"busy_share", "others_share", "steal_share", "disk_share"}
    assert all(share >= 0 for share in shares.values())
