import pytest

from cloud.identity.service import utc_now
from cloud.seed import ORGANISATION, SITE, WARD, bed_location, seed_ward
from cloud.ward.model import WardFile, WardPatient

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NAMES = {"name_zh": "名", "name_en": "Name"}


@pytest.fixture
def admin(cloud_server):
    return cloud_server.client("admin")


def post(client, path, body, *, status=201):
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def test_seeded_ward_has_its_beds(cloud_server):
    doctor = cloud_server.client("doctor")
    found = doctor.get(f"/api/sites/{SITE}/locations").json()

    assert [(one["kind"], one["part_of"], one["code"]) for one in found] == [
        ("bed", WARD, "1"),
        ("ward", None, "1"),
    ]
    assert doctor.get("/api/organisations").json()[0]["level"] == "county"


def test_organisation_with_areas_site_and_consortium(admin):
    part = post(admin, f"organisations/{ORGANISATION}/parts", {**NAMES, "level": "township"})["id"]
    areas = [{"division": "330102001", "name_zh": "街道"}]
    assert admin.put(f"/api/organisations/{part}/areas", json={"areas": areas}).status_code == 200
    site = post(admin, f"organisations/{part}/sites", {**NAMES, "zone": "Asia/Urumqi"})["id"]
    league = post(admin, f"organisations/{ORGANISATION}/consortia", NAMES)["affiliations"][0]["consortium"]
    post(admin, f"consortia/{league}/affiliations", {"organisation": part})
    assert admin.delete(f"/api/consortia/{league}/affiliations/{part}").status_code == 204
    admin.patch(f"/api/organisations/{part}", json={"name_en": "New", "closed": True})

    record = admin.get(f"/api/organisations/{part}").json()
    assert (record["name_en"], record["closed_at"] is None) == ("New", False)
    assert [(one["id"], one["zone"]) for one in record["sites"]] == [(site, "Asia/Urumqi")]
    assert record["areas"] == areas
    assert record["affiliations"][0]["ends_at"] is not None


def test_patient_who_was_moved_by_hand_stays_there_when_the_ward_file_is_read_again(
    cloud_server, admin, database
):
    bed = {**NAMES, "kind": "bed", "code": "9", "part_of": WARD}
    nine = post(admin, f"sites/{SITE}/locations", bed)["id"]
    doctor = cloud_server.client("doctor")
    post(doctor, "bindings", {"bed": nine, "patient": "p-1"})
    patient = WardPatient(id="p-1", bed="1", name_zh="张三", name_en="Zhang San", sources=[], spo2_scale=2)
    seed_ward(database, WardFile(agent="hut-1", patients=[patient]), now=utc_now())

    row = "SELECT bed, location_id FROM patient WHERE patient_id = 'p-1'"
    assert database.execute(row).fetchone() == ("9", nine)


def test_two_patients_of_a_ward_file_swap_beds(cloud_server, database):
    def ward(*beds):
        return WardFile(
            agent="hut-1",
            patients=[
                WardPatient(id=f"p-{number}", bed=bed, name_zh="", name_en="", sources=[])
                for number, bed in enumerate(beds, 1)
            ],
        )

    for beds in (("1", "2"), ("2", "1")):
        seed_ward(database, ward(*beds), now=utc_now())
        rows = database.execute("SELECT bed, location_id FROM patient ORDER BY patient_id").fetchall()
        assert rows == [(bed, bed_location(bed)) for bed in beds]


def test_site_without_such_a_zone_is_refused(admin):
    wrong = {**NAMES, "zone": "Mars/Olympus"}
    assert "zone" in post(admin, f"organisations/{ORGANISATION}/sites", wrong, status=422)["error"]
