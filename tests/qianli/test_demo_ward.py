from qianli.demo_ward import all_devices, describe_ward, identity_of, source_of
from qianli.installation import DEMO_WARD


def test_ward_file_is_current():
    assert DEMO_WARD.read_text("utf-8") == describe_ward(), "run python -m qianli.demo_ward"


def test_every_device_has_its_own_source():
    devices = all_devices()

    assert (
        len({source_of(spec) for spec in devices})
        == len({identity_of(spec) for spec in devices})
        == len(devices)
    )
