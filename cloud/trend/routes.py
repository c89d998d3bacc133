"""`GET /api/patients/{id}/trend` (docs/live-api.md)."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from cloud.identity.access import VIEWS_ONE_PATIENT
from cloud.identity.model import Subject
from cloud.trend.model import STEP, Series
from cloud.trend.service import Trend, TrendService
from vitals.gap import Gap
from vitals.wire.batch import to_ms


class SeriesBody(BaseModel):
    """One line; all lists have the same length, and `t` is where a bucket starts."""

    unit: str
    t: list[int]
    min: list[float]
    max: list[float]
    last: list[float]


class GapBody(BaseModel):
    """An interval without values; `to_at` is null while it lasts."""

    src: str
    keys: list[str]
    cause: str
    from_at: int
    to_at: int | None


class TrendBody(BaseModel):
    """The whole answer."""

    from_at: int
    to_at: int
    step_ms: int
    measured_since_at: int | None
    series: dict[str, SeriesBody]
    gaps: list[GapBody]


def build_routes(trends: TrendService, *, may_read: Callable[[Request], Subject]) -> APIRouter:
    """The route; `may_read` gives the Subject, or refuses."""
    router = APIRouter(prefix="/api")

    def read_trend(
        patient_id: str,
        subject: Annotated[Subject, Depends(may_read)],
        hours: Annotated[int, Query(ge=1, le=72)] = 24,
    ) -> TrendBody:
        return _body(trends.read_trend(subject, patient_id, hours=hours))

    router.add_api_route(
        "/patients/{patient_id}/trend",
        read_trend,
        methods=["GET"],
        response_model=TrendBody,
        dependencies=[Depends(VIEWS_ONE_PATIENT)],
    )
    return router


def _body(trend: Trend) -> TrendBody:
    since_at = trend.measured_since_at
    return TrendBody(
        from_at=to_ms(trend.from_at),
        to_at=to_ms(trend.to_at),
        step_ms=int(STEP.total_seconds() * 1000),
        measured_since_at=None if since_at is None else to_ms(since_at),
        series={key: _series(series) for key, series in trend.series.items()},
        gaps=[_gap(gap) for gap in trend.gaps],
    )


def _series(series: Series) -> SeriesBody:
    return SeriesBody(
        unit=series.unit,
        t=[to_ms(moment) for moment in series.starts_at],
        min=series.lowest,
        max=series.highest,
        last=series.last,
    )


def _gap(gap: Gap) -> GapBody:
    return GapBody(
        src=gap.src,
        keys=list(gap.keys),
        cause=gap.cause.value,
        from_at=to_ms(gap.started_at),
        to_at=None if gap.ended_at is None else to_ms(gap.ended_at),
    )
