"""What placement takes from two profiles: levels that both have, codings that both ends measured."""

import pytest

from inference.errors import PlacementError
from inference.placement.codings import at_common_levels, codings_of, qualities_of
from inference.profile.stored import InputRung, Packing, Profile


def profile(hardware="hmd", *, levels=(0.5, 0.9), slow=1.0, **more):
    count = len(levels)
    rung = InputRung(
        name="jpeg75",
        payload_bytes=int(4000 * slow),
        encode_ns=tuple(slow * (row + 1) for row in range(count)),
        decode_ns=tuple(slow * (row + 10) for row in range(count)),
        loss=0.01 * slow,
    )
    fields = {
        "hardware": hardware,
        "model_sha256": "0" * 64,
        "levels": levels,
        "positions": (0, 1),
        "prefix_ns": tuple((0.0, slow * (row + 1)) for row in range(count)),
        "packing": Packing(ratio=0.8 * slow, encode_ns_per_byte=2 * slow, decode_ns_per_byte=slow, cuts=3),
        "rungs": (rung,),
    }
    return Profile.model_validate(fields | more)


def test_profiles_meet_at_the_levels_that_both_have():
    near, far = at_common_levels([profile(levels=(0.5, 0.9, 0.99)), profile(levels=(0.5, 0.99), slow=2)])
    assert near.levels == far.levels == (0.5, 0.99)
    assert near.prefix_ns == ((0, 1), (0, 3))
    assert near.rungs[0].encode_ns == (1, 3)
    assert far.prefix_ns == ((0, 2), (0, 4))


def test_profiles_without_a_common_level_are_refused():
    with pytest.raises(PlacementError, match="share no level"):
        at_common_levels([profile(levels=(0.5,)), profile(levels=(0.9,))])


def test_a_profile_that_lacks_a_row_is_refused():
    with pytest.raises(PlacementError, match="a row a level"):
        at_common_levels([profile(prefix_ns=((0.0, 1.0),))])


def test_packing_takes_each_sides_own_time_and_the_worse_ratio():
    raw, packed = codings_of([(profile(slow=1), profile(slow=1.1))])
    assert (raw.name, raw.ratio) == ("raw", 1)
    assert packed.ratio == pytest.approx(0.88)
    assert (packed.device_encode_ns_per_byte, packed.worker_decode_ns_per_byte) == (2, 1.1)
    assert (packed.worker_encode_ns_per_byte, packed.device_decode_ns_per_byte) == (2.2, 1)


def test_what_only_one_side_measured_is_left_out():
    bare = profile(packing=None, rungs=())
    assert [coding.name for coding in codings_of([(profile(), profile()), (profile(), bare)])] == ["raw"]
    assert qualities_of(profile(), bare) == ()


def test_a_picture_is_encoded_near_and_decoded_far():
    (rung,) = qualities_of(profile(slow=1), profile(slow=2))
    assert (rung.payload_bytes, rung.loss) == (8000, 0.02)
    assert (rung.encode_ns, rung.decode_ns) == ((1, 2), (20, 22))
