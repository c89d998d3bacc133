"""Looking at the pipeline, and asking for a message to be tried again."""

from dataclasses import dataclass

from cloud.act import Action, Origin, Recorder, TargetKind, target
from cloud.events import Clock
from cloud.identity.errors import NotAllowed
from cloud.identity.model import Scope, Subject
from cloud.pipeline import queries
from cloud.pipeline.model import (
    AgentFlow,
    GroupState,
    Letter,
    LetterUnknown,
    Spooled,
    SpoolWatch,
    WorkerState,
)
from cloud.store.connection import Pool

LETTERS_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Everything at one moment; `spooled` has the agents that have said something since we run."""

    groups: tuple[GroupState, ...]
    workers: tuple[WorkerState, ...]
    agents: tuple[AgentFlow, ...]
    spooled: dict[str, Spooled]
    letters: tuple[Letter, ...]


class PipelineService:
    """Use cases of the pipeline."""

    def __init__(self, pool: Pool, *, spools: SpoolWatch, recorder: Recorder, clock: Clock) -> None:
        self._pool = pool
        self._spools = spools
        self._recorder = recorder
        self._clock = clock

    def read(self, subject: Subject) -> Pipeline:
        """How it goes now, for the agents of the asker's organisation.

        Raises:
            NotAllowed.
        """
        _require(subject)
        with self._pool.connection() as connection:
            agents = queries.find_agents(connection, subject)
            spooled = {flow.agent: self._spools.of(flow.agent) for flow in agents}
            return Pipeline(
                groups=tuple(queries.find_groups(connection)),
                workers=tuple(queries.find_workers(connection)),
                agents=tuple(agents),
                spooled={agent: said for agent, said in spooled.items() if said is not None},
                letters=tuple(queries.find_letters(connection, subject, limit=LETTERS_SHOWN)),
            )

    def ask_replay(self, subject: Subject, letter_id: int) -> None:
        """Let a message be tried again by the worker that serves its agent.

        Raises:
            NotAllowed.
            LetterUnknown: not there, not of this organisation, or taken already.
        """
        _require(subject)
        with self._pool.connection() as connection, connection.transaction():
            agent = queries.ask_replay(connection, subject, letter_id, at=self._clock())
            if agent is None:
                raise LetterUnknown
            act = subject.act(Action.REPLAY_MESSAGE, target(TargetKind.AGENT, agent), origin=Origin.HTTP)
            self._recorder.begin(act)()


def _require(subject: Subject) -> None:
    if Scope.MANAGE_DEVICES not in subject.scopes:
        raise NotAllowed
