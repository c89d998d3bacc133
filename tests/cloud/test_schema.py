import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field

from cloud.identity.access import LOGGED_IN, PUBLIC
from cloud.schema import install_schema


class Body(BaseModel):
    name: str = Field(pattern=r"\A[^\x00]*\z")


@pytest.fixture
def paths():
    app = FastAPI(title="T", version="1")
    app.add_api_route("/open", lambda: 1, methods=["GET"], dependencies=[Depends(PUBLIC)])

    def change(one: str, body: Body) -> int:
        return len(one) + len(body.name)

    app.add_api_route("/closed/{one}", change, methods=["POST"], dependencies=[Depends(LOGGED_IN)])
    install_schema(app)
    return app.openapi()


def statuses(paths, path, method):
    return set(paths["paths"][path][method]["responses"])


def test_every_route_names_what_the_guard_may_answer(paths):
    for path, method in (("/open", "get"), ("/closed/{one}", "post")):
        assert statuses(paths, path, method) >= {"200", "400", "403", "414", "429", "431", "500", "503"}


def test_route_with_a_session_a_body_and_a_name_names_their_refusals(paths):
    further = {"401", "404", "408", "409", "413", "422"}

    assert statuses(paths, "/closed/{one}", "post") >= further
    assert statuses(paths, "/open", "get").isdisjoint(further)


def test_every_refusal_has_the_same_body(paths):
    answers = paths["paths"]["/closed/{one}"]["post"]["responses"]
    refusals = [answer for status, answer in answers.items() if status >= "400"]

    assert {one["content"]["application/json"]["schema"]["$ref"] for one in refusals} == {
        "#/components/schemas/Refusal"
    }
    assert "HTTPValidationError" not in paths["components"]["schemas"]


def test_pattern_is_written_as_the_schema_language_writes_it(paths):
    assert paths["components"]["schemas"]["Body"]["properties"]["name"]["pattern"] == r"^[^\x00]*$"
