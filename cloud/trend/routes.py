"""`GET /api/patients/{id}/trend` and `…/waves` (docs/live-api.md)."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field, model_validator

from cloud.identity.access import VIEWS_ONE_PATIENT
from cloud.identity.model import Subject
from cloud.trend.frames import MEDIA_TYPE, encode_trend
from cloud.trend.model import Series
from cloud.trend.service import Trend, TrendService, WaveWish, Wish
from vitals.gap import Gap
from vitals.wire.batch import from_ms, to_ms

LAST_MS = 4_102_444_800_000  # 2100
LONGEST_MINUTES_MS = 72 * 3_600_000
LONGEST_WAVES_MS = 600_000
WAVES_TYPE = "application/vnd.qianli.waves"
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
_VARY = {"Vary": "Accept"}


class SeriesBody(BaseModel):
    """One line; all lists have the same length, and `t` is where a bucket starts."""

    unit: str
    t: list[int]
    min: list[float]
    max: list[float]
    first: list[float]
    last: list[float]


class GapBody(BaseModel):
    """An interval without values; `to_at` is null while it lasts."""

    src: str
    keys: list[str]
    cause: str
    from_at: int
    to_at: int | None


class RangeQuery(BaseModel):
    """A range in ms, or none."""

    from_at: int | None = Field(None, ge=0, le=LAST_MS)
    to_at: int | None = Field(None, ge=0, le=LAST_MS)

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if (self.from_at is None) != (self.to_at is None):
            raise ValueError("a range has both ends, or none")
        if self.from_at is not None and self.to_at is not None and self.to_at <= self.from_at:
            raise ValueError("a range ends after it begins")
        return self

    def lasts_ms(self) -> int:
        """How long the range is; 0 where none is said."""
        return 0 if self.from_at is None or self.to_at is None else self.to_at - self.from_at

    def ends(self) -> tuple[datetime | None, datetime | None]:
        """From when until when."""
        from_at, to_at = (None if at is None else from_ms(at) for at in (self.from_at, self.to_at))
        return from_at, to_at


class WishQuery(RangeQuery):
    """The last hours, or a range; with `pixels` in steps of which there are not more than that."""

    hours: int = Field(24, ge=1, le=72)
    pixels: int | None = Field(None, ge=10, le=4000)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.lasts_ms() > LONGEST_MINUTES_MS and self.pixels is None:
            raise ValueError("a range of more than 72 hours needs pixels")
        return self

    def parse(self) -> Wish:
        """As the service takes it."""
        from_at, to_at = self.ends()
        return Wish(hours=self.hours, from_at=from_at, to_at=to_at, pixels=self.pixels)


class WavesQuery(RangeQuery):
    """The last minute, or a range of not more than ten; `stream` may be said several times."""

    stream: list[str] = Field([], max_length=32)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.lasts_ms() > LONGEST_WAVES_MS:
            raise ValueError("waves are read ten minutes at a time")
        if any("\0" in stream for stream in self.stream):
            raise ValueError("a stream has no NUL in its name")
        return self

    def parse(self) -> WaveWish:
        """As the service takes it."""
        from_at, to_at = self.ends()
        return WaveWish(from_at=from_at, to_at=to_at, streams=self.stream or None)


class TrendBody(BaseModel):
    """The whole answer."""

    from_at: int
    to_at: int
    step_ms: int
    measured_since_at: int | None
    series: dict[str, SeriesBody]
    gaps: list[GapBody]


def build_routes(trends: TrendService, *, may_read: Callable[[Request], Subject]) -> APIRouter:
    """The routes; `may_read` gives the Subject, or refuses."""
    router = APIRouter(prefix="/api")

    def read_trend(
        request: Request,
        patient_id: str,
        subject: Annotated[Subject, Depends(may_read)],
        wish: Annotated[WishQuery, Query()],
    ) -> Response:
        trend = trends.read_trend(subject, patient_id, wish=wish.parse())
        if prefers_columns(request.headers.get("accept", "")):
            return Response(encode_trend(trend), media_type=MEDIA_TYPE, headers=_VARY)
        return Response(encode_text(trend), media_type="application/json", headers=_VARY)

    router.add_api_route(
        "/patients/{patient_id}/trend",
        read_trend,
        methods=["GET"],
        response_model=TrendBody,
        responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
        dependencies=[Depends(VIEWS_ONE_PATIENT)],
    )
    _add_waves(router, trends, may_read=may_read)
    return router


def _add_waves(router: APIRouter, trends: TrendService, *, may_read: Callable[[Request], Subject]) -> None:
    def read_waves(
        patient_id: str,
        subject: Annotated[Subject, Depends(may_read)],
        wish: Annotated[WavesQuery, Query()],
    ) -> Response:
        frames = trends.read_waves(subject, patient_id, wish=wish.parse())
        told = b"".join(part for frame in frames for part in (len(frame).to_bytes(4, "little"), frame))
        return Response(told, media_type=WAVES_TYPE)

    router.add_api_route(
        "/patients/{patient_id}/waves",
        read_waves,
        methods=["GET"],
        response_class=Response,
        responses={200: {"content": {WAVES_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
        dependencies=[Depends(VIEWS_ONE_PATIENT)],
    )


def encode_text(trend: Trend) -> bytes:
    """The answer as JSON."""
    return _body(trend).model_dump_json().encode()


def prefers_columns(accept: str) -> bool:
    """Whether an `Accept` names the columns, and prefers nothing to them; who takes anything gets JSON."""
    weights = dict(map(_weight, accept.split(",")))
    asked = weights.get(MEDIA_TYPE, 0.0)
    return asked > 0 and asked >= weights.get("application/json", 0.0)


def _weight(named: str) -> tuple[str, float]:
    """A media type and its weight (RFC 9110, 12.4.2); one that is no number weighs nothing."""
    name, *parameters = (part.strip().lower() for part in named.split(";"))
    told = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    return name, float(told) if _WEIGHT.fullmatch(told) else 0.0


def _body(trend: Trend) -> TrendBody:
    since_at = trend.measured_since_at
    return TrendBody(
        from_at=to_ms(trend.from_at),
        to_at=to_ms(trend.to_at),
        step_ms=trend.step_ms,
        measured_since_at=None if since_at is None else to_ms(since_at),
        series={key: _series(series) for key, series in trend.series.items()},
        gaps=[_gap(gap) for gap in trend.gaps],
    )


def _series(series: Series) -> SeriesBody:
    steps = series.steps
    return SeriesBody(
        unit=series.unit,
        t=steps.starts_ms.tolist(),
        min=steps.lowest.tolist(),
        max=steps.highest.tolist(),
        first=steps.first.tolist(),
        last=steps.last.tolist(),
    )


def _gap(gap: Gap) -> GapBody:
    return GapBody(
        src=gap.src,
        keys=list(gap.keys),
        cause=gap.cause.value,
        from_at=to_ms(gap.started_at),
        to_at=None if gap.ended_at is None else to_ms(gap.ended_at),
    )
