"""The way to a hospital's provider and back."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from cloud.identity import cookies
from cloud.identity.access import PUBLIC
from cloud.identity.errors import LoginThrottled, OidcRefused, OidcUnreachable
from cloud.identity.oidc.service import OidcSignIn
from cloud.identity.routes import PathId, let_in, refusals
from cloud.identity.service import IdentityService

_LONGEST = 4000
_WHY = {OidcRefused: "refused", OidcUnreachable: "unreachable", LoginThrottled: "throttled"}


class ProviderBody(BaseModel):
    """A way to sign in that the sign-in page offers."""

    key: str
    title_zh: str
    title_en: str


def build_routes(identity: IdentityService, sign_in: OidcSignIn) -> APIRouter:
    """`/api/oidc…`."""
    router = APIRouter(prefix="/api/oidc")

    def list_providers() -> list[ProviderBody]:
        return [
            ProviderBody(key=one.key, title_zh=one.title_zh, title_en=one.title_en)
            for one in sign_in.providers
        ]

    def depart(key: PathId, request: Request) -> Response:
        try:
            departure = sign_in.depart(key, visitor=cookies.visitor_of(request))
        except (OidcRefused, OidcUnreachable) as error:
            return _back(error)
        response = RedirectResponse(departure.url, status_code=303)
        cookies.put_cookie(response, request, name=cookies.OIDC, token=departure.browser_token)
        return response

    def arrive(key: PathId, request: Request) -> Response:
        parameters = {name: value[:_LONGEST] for name, value in request.query_params.items()}
        token = cookies.read_cookie(request, cookies.OIDC)
        try:
            logged_in = sign_in.arrive(
                key, parameters, browser_token=token, visitor=cookies.visitor_of(request)
            )
        except (OidcRefused, OidcUnreachable, LoginThrottled) as error:
            return _back(error)
        response = RedirectResponse("/", status_code=303)
        let_in(identity, request, response, logged_in=logged_in)
        cookies.drop_cookie(response, request, name=cookies.OIDC)
        return response

    anyone = [Depends(PUBLIC)]
    router.add_api_route(
        "", list_providers, methods=["GET"], response_model=list[ProviderBody], dependencies=anyone
    )
    for path, endpoint in (("/{key}/start", depart), ("/{key}/callback", arrive)):
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            status_code=303,
            response_model=None,
            responses=refusals(404),
            dependencies=anyone,
        )
    return router


def _back(error: Exception) -> Response:
    """A browser stands here, not a program: it gets the sign-in page, which says what happened."""
    return RedirectResponse(f"/?sign_in={_WHY[type(error)]}", status_code=303)
