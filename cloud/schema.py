"""The OpenAPI: what the routes say of themselves, and in one place what any of them may answer besides."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from cloud.identity.access import access_of

_ERROR = "Refusal"
_ERROR_SCHEMA = {
    "title": _ERROR,
    "description": "Every refusal has this body.",
    "type": "object",
    "properties": {
        "error": {"type": "string", "title": "Error"},
        "needs": {"type": "string", "title": "What done first would help"},
    },
    "required": ["error"],
}
_OF_EVERY_ROUTE = {
    "400": "This is no HTTP, or no text",
    "403": "A foreign page or another name of this machine; or the role does not allow it",
    "414": "The address is too long",
    "429": "Too many requests; `Retry-After` says when to come again",
    "431": "The headers are too long",
    "500": "A failure; the number in the text is in the log",
    "503": "A part that is needed is away; try again in a moment",
}
_OF_OTHERS_THAN_PUBLIC = {"401": "Log in first"}
_WITH_BODY = {
    "408": "The body came too slowly",
    "409": "It contradicts what is there",
    "413": "The body is too large",
}
_WITH_INPUT = {"422": "A field is wrong; the text says which, and not what stood in it"}
_WITH_NAME = {"404": "It does not exist, or is not for you"}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}}


def install_schema(app: FastAPI) -> None:
    """Let the application describe itself."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            _add_refusals(made, public_operations(app))
            _translate_patterns(made)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign] # as FastAPI's documentation does it


def refusals_of(path: str, operation: Mapping[str, Any], *, is_public: bool) -> dict[str, str]:
    """By status, what a route may answer that it does not declare itself."""
    has_body, has_name = "requestBody" in operation, "{" in path
    return {
        **_OF_EVERY_ROUTE,
        **({} if is_public else _OF_OTHERS_THAN_PUBLIC),
        **(_WITH_BODY if has_body else {}),
        **(_WITH_INPUT if has_body or has_name or operation.get("parameters") else {}),
        **(_WITH_NAME if has_name else {}),
    }


def public_operations(app: FastAPI) -> set[tuple[str, str]]:
    """Path and method of the routes that need no session."""
    return {
        (route.path, method.lower())
        for route in _routes_of(app.routes)
        if isinstance(route, APIRoute) and (access := access_of(route)) is not None and access.is_public
        for method in route.methods or ()
    }


def _routes_of(routes: Iterable[object]) -> Iterator[object]:
    """Every route, also of the routers inside."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from _routes_of(inner.routes)


def _add_refusals(made: dict[str, Any], public: set[tuple[str, str]]) -> None:
    body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_ERROR}"}}}
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas[_ERROR] = _ERROR_SCHEMA
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            for status, text in refusals_of(path, operation, is_public=(path, method) in public).items():
                answers[status] = {"description": text, "content": body}
            for status in [status for status in answers if status >= "400"]:
                answers[status]["content"] = body
            answers["429"]["headers"] = _RETRY_AFTER


def _translate_patterns(part: object) -> None:
    """Patterns as ECMA-262 writes the beginning and the end of a text, not as pydantic's engine does."""
    if isinstance(part, list):
        for one in part:
            _translate_patterns(one)
    elif isinstance(part, dict):
        pattern = part.get("pattern")
        if isinstance(pattern, str):
            part["pattern"] = pattern.replace(r"\A", "^").replace(r"\z", "$")
        for one in part.values():
            _translate_patterns(one)
