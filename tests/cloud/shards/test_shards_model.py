import pytest

from cloud.shards.model import SHARDS, fair_share, group_of, shards_of
from vitals.wire.topics import shard_of


@pytest.mark.parametrize("groups", [1, 3, 16])
def test_every_shard_is_in_exactly_one_group(groups):
    dealt = {
        shard: group_of(shard, groups=groups)
        for group in range(groups)
        for shard in shards_of(group, groups=groups)
    }

    assert sorted(dealt) == [f"{shard:02x}" for shard in range(SHARDS)]
    assert sum(len(shards_of(group, groups=groups)) for group in range(groups)) == SHARDS
    assert set(dealt.values()) == set(range(groups))


def test_agent_stays_in_its_group():
    assert shard_of("hut-1") in shards_of(group_of(shard_of("hut-1"), groups=4), groups=4)


@pytest.mark.parametrize(
    ("groups", "workers", "share"), [(1, 1, 1), (1, 3, 1), (4, 1, 4), (4, 2, 2), (4, 3, 2), (4, 0, 4)]
)
def test_fair_share_leaves_no_group_without_a_worker(groups, workers, share):
    assert fair_share(groups, workers=workers) == share
    assert share * max(workers, 1) >= groups
