import pytest

from cloud.shards.model import SHARDS, fair_share, shards_of


@pytest.mark.parametrize("groups", [1, 3, 16])
def test_every_shard_is_in_exactly_one_group(groups):
    dealt = [shard for group in range(groups) for shard in shards_of(group, groups=groups)]

    assert sorted(dealt) == [f"{shard:02x}" for shard in range(SHARDS)]


@pytest.mark.parametrize(
    ("groups", "workers", "share"), [(1, 1, 1), (1, 3, 1), (4, 1, 4), (4, 2, 2), (4, 3, 2), (4, 0, 4)]
)
def test_fair_share_leaves_no_group_without_a_worker(groups, workers, share):
    assert fair_share(groups, workers=workers) == share
    assert share * max(workers, 1) >= groups
