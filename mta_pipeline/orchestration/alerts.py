"""The sensor `alerts`: looks at what has ended since its last tick, and tells people of it.

Its cursor holds all that it knows: the run it has come to, the weeks in trouble, and the messages that
a target did not take yet. No address stands in it, because everybody who sees the UI sees the cursor.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from mta_pipeline.domain import alerts as domain
from mta_pipeline.domain.alerts import Message, Trouble
from mta_pipeline.domain.targets import PATIENCE, Target, send, targets_of
from mta_pipeline.orchestration.checks import LAKE_OBJECT, NO_WEEK_OVERDUE
from mta_pipeline.orchestration.dagster_edges import FailedTick, failed_tick, is_ours, last_evaluation, retry_of
from mta_pipeline.orchestration.partitions import SETTINGS
from mta_pipeline.orchestration.run_reports import report_of

ENDINGS = (
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELED,
)
#: A run of 52 weeks takes up to a second to look at.
RUNS_A_TICK = 10
#: Seconds of a tick in which messages are begun. Dagster gives a tick a minute.
TIME_TO_SEND = 60 - 3 * PATIENCE
#: A message is tried so often, after pauses of 30 s, one minute, two … and at last an hour: for some seven hours.
TRIES = 13
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 3600.0
#: Messages kept for targets that don't take them; of more, the oldest are given up.
MOST_WAITING = 100
#: Seconds in which Dagster decides whether it starts a run again; then the run is told of as it is.
TIME_TO_DECIDE = 600.0


@dataclass
class Waiting:
    """A message, and the tries with each target that has not taken it yet."""

    message: Message
    tries: dict[str, int]
    due: float = 0.0  #: seconds since 1970


@dataclass
class State:
    """The cursor."""

    #: The id of the last event looked at; None before the first tick.
    after: int | None = None
    #: Failed runs of which Dagster has not decided whether it starts them again.
    undecided: list[str] = field(default_factory=list)
    trouble: Trouble = field(default_factory=Trouble)
    outbox: list[Waiting] = field(default_factory=list)


CURSOR = TypeAdapter(State)


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells of runs that failed, checks that warned, weeks that are overdue, and of all being well again.",
)
def alerts(context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason | FailedTick]:
    """Send at most one message for each run that has ended; what could not be sent is tried again at later ticks."""
    targets = targets_of(SETTINGS.alert_urls)
    if not targets:
        # Whoever sets it later begins then: nobody wants last year's alerts.
        context.update_cursor(CURSOR.dump_json(State()).decode())
        yield dg.SkipReason("MTA_ALERT_URLS is not set")
        return
    state = _read(context)
    messages = [*_of_runs(context, state), *_of_overdue(context.instance, state)]
    state.outbox += [Waiting(message, {target.name: 0 for target in targets}) for message in messages]
    sent, troubles = _deliver(context, state, targets)
    context.update_cursor(CURSOR.dump_json(state).decode())
    if not troubles:
        yield dg.SkipReason(f"messages sent: {sent}" if sent else "nothing to tell")
        return
    run_ids = [message.run_id for message, _ in troubles if message.run_id]
    run = context.instance.get_run_by_id(run_ids[0]) if run_ids else None
    reason = "\n".join(dict.fromkeys(reason for _, reason in troubles))
    yield failed_tick(run, reason) if run else dg.SkipReason(reason)


def _read(context: dg.SensorEvaluationContext) -> State:
    """What the last tick knew. The first one begins with the runs that end from now on."""
    try:
        state = CURSOR.validate_json(context.cursor or "{}")
    except ValidationError:
        context.log.warning("the cursor is not understood; alerts begin with the runs that end from now on")
        state = State()
    if state.after is None:
        newest = [context.instance.fetch_run_status_changes(ending, limit=1).records for ending in ENDINGS]
        state.after = max((record.storage_id for records in newest for record in records), default=0)
    return state


def _of_runs(context: dg.SensorEvaluationContext, state: State) -> list[Message]:
    """The messages about undecided runs, and about those that have ended since; `state` is brought up to date."""
    records = sorted(
        (
            record
            for ending in ENDINGS
            for record in context.instance.fetch_run_status_changes(
                dg.RunStatusChangeRecordsFilter(ending, after_storage_id=state.after),  # type: ignore[arg-type]
                limit=RUNS_A_TICK,
                ascending=True,
            ).records
        ),
        key=lambda record: record.storage_id,
    )[:RUNS_A_TICK]
    if records:
        state.after = records[-1].storage_id
    run_ids = [*state.undecided, *(record.run_id for record in records)]
    state.undecided = []
    messages = (_of_run(context, state, run_id) for run_id in dict.fromkeys(run_ids))
    return [message for message in messages if message]


def _of_run(context: dg.SensorEvaluationContext, state: State, run_id: str) -> Message | None:
    record = context.instance.get_run_record_by_id(run_id)
    if record is None or not is_ours(context, record.dagster_run):  # deleted meanwhile, or of somebody else's project
        return None
    run, retried_as = record.dagster_run, None
    if run.status == dg.DagsterRunStatus.FAILURE:
        retried_as = retry_of(run, context.instance.run_retries_enabled)
        if retried_as == "" and time.time() - (record.end_time or 0.0) < TIME_TO_DECIDE:
            state.undecided.append(run_id)
            return None
    report = report_of(context.instance, run, retried_as or None)
    state.trouble.hear(report)
    return domain.of_run(report, state.trouble.all_well(), SETTINGS.ui_url)


def _of_overdue(instance: dg.DagsterInstance, state: State) -> list[Message]:
    """A message if weeks are overdue that were not before, or if the last trouble was that weeks were overdue."""
    last = last_evaluation(instance, NO_WEEK_OVERDUE)
    if last is None:
        return []
    _, evaluation = last
    listed = evaluation.metadata.get("weeks")
    weeks = [] if evaluation.passed else [str(week) for week in _list(listed.value if listed else None)] or [""]
    link = f"{SETTINGS.ui_url}/assets/{'/'.join(LAKE_OBJECT.path)}?view=checks&checkDetail={NO_WEEK_OVERDUE.name}"
    if state.trouble.hear_overdue(weeks):
        return [domain.of_overdue(weeks, evaluation.description or "A week is overdue.", link)]
    healed = state.trouble.all_well()
    return [domain.of_all_well(healed, link)] if healed else []


def _list(value: object) -> Sequence[object]:
    """The weeks of the check's metadata: a list, or text with commas between them."""
    return value if isinstance(value, list) else [part for part in str(value or "").replace(",", " ").split() if part]


def _deliver(
    context: dg.SensorEvaluationContext, state: State, targets: Sequence[Target]
) -> tuple[int, list[tuple[Message, str]]]:
    """Send what is due. A target gets its messages in order: while one waits for it, later ones wait too.

    Returns how many messages somebody got, and what went wrong: the message with a sentence.
    """
    begin, sent = time.monotonic(), 0
    troubles: list[tuple[Message, str]] = []
    for dropped in state.outbox[:-MOST_WAITING]:
        troubles.append((dropped.message, f"given up, because too many wait: {dropped.message.title}"))
    left = state.outbox[-MOST_WAITING:]
    state.outbox = []
    blocked: set[str] = set()
    for waiting in left:
        # A target that is no longer in the setting has no place in the outbox either.
        ready = [target for target in targets if target.name in waiting.tries and target.name not in blocked]
        waiting.tries = {target.name: waiting.tries[target.name] for target in targets if target.name in waiting.tries}
        if waiting.due <= time.time() and time.monotonic() - begin < TIME_TO_SEND:
            sent += _try(context, waiting, ready, troubles)
        if waiting.tries:
            blocked |= waiting.tries.keys()
            state.outbox.append(waiting)
    return sent, troubles


def _try(
    context: dg.SensorEvaluationContext,
    waiting: Waiting,
    ready: Sequence[Target],
    troubles: list[tuple[Message, str]],
) -> bool:
    """Send one message to the targets that are ready for it; tells whether one of them took it."""
    taken = False
    for name, finding in send(waiting.message, ready).items():
        if finding is None:
            taken = True
            del waiting.tries[name]
            context.log.info(f"sent to alert target {name}: {waiting.message.title}")
            continue
        tries = waiting.tries[name] + 1
        waiting.tries[name] = tries
        waiting.due = time.time() + min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE)
        fate = f"tried {tries} of {TRIES} times"
        if tries >= TRIES:
            del waiting.tries[name]
            fate = f"given up after {TRIES} tries"
        troubles.append((waiting.message, str(finding)))
        context.log.error(f"{finding} ({waiting.message.title!r}, {fate})")
    return taken
