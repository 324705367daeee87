"""`mta-pipeline`: arguments, exit codes, and nothing else.

Dagster takes a second to import, so each command imports what it needs when it runs.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from datetime import datetime, timezone
from pathlib import Path

import click

from mta_pipeline import __version__
from mta_pipeline.cli.home import ensure_dagster_home, open_instance
from mta_pipeline.domain.errors import Finding, PipelineError, SettingsError, WeekError
from mta_pipeline.domain.settings import PROJECT, Settings
from mta_pipeline.domain.stages import shown
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, Week

SOME_FAILED, WRONG_ARGUMENT = 1, 2
VERBOSE = click.option(
    "-v", "--verbose", is_flag=True, help="Log each stage of each week, a line at its start and its end."
)


class Commands(click.Group):
    """A group whose commands end with a sentence, not a traceback, where the fault is the user's."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what the pipeline raises on purpose becomes its message."""
        try:
            return super().invoke(ctx)
        except (SettingsError, WeekError) as error:
            raise click.UsageError(str(error)) from error
        except PipelineError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """New York's weekly subway turnstile files, brought into a data lake.

    A WEEK is given by its first day, a Saturday such as 2024-01-06, by any other day inside it, or
    as "latest". Settings are environment variables (MTA_FEED_URL, MTA_LAKE_URL, …), see the README.
    """


@main.command()
@click.argument("first", metavar="FIRST")
@click.argument("last", metavar="[LAST]", required=False)
@click.option("--only-missing", is_flag=True, help="Skip weeks whose object is in the lake already.")
@click.option("--weeks-per-run", type=click.IntRange(min=1), help="Weeks in one Dagster run. [default: 104]")
@VERBOSE
def backfill(first: str, last: str | None, only_missing: bool, weeks_per_run: int | None, verbose: bool) -> None:
    """Fetch, audit and publish the weeks from FIRST to LAST (default: FIRST alone).

    Exit code: 0 when all weeks are good, 1 when some failed or it was interrupted, 2 for a wrong argument.
    """
    settings = Settings.from_environment()
    weeks = _weeks(settings, first, last or first)
    shown(verbose)
    ensure_dagster_home()
    from mta_pipeline.cli.backfill import run

    sys.exit(0 if run(weeks, settings, only_missing, weeks_per_run) else SOME_FAILED)


@main.command()
@click.argument("first", metavar="[FIRST]", required=False)
@click.argument("last", metavar="[LAST]", required=False)
@click.option("--again", is_flag=True, help="Make weeks again that are made of what the lake has.")
@VERBOSE
def ridership(first: str | None, last: str | None, again: bool, verbose: bool) -> None:
    """Make readings and ridership of weeks in the lake, from FIRST to LAST (default: of all; FIRST alone is one week).

    Weeks that are made already, of what the lake has now, are left alone. A daemon (`mta-pipeline ui`) does the same by
    itself. Exit code: 0 when all weeks are good, 1 when some failed or it was interrupted, 2 for a wrong argument.
    """
    settings = Settings.from_environment()
    weeks = _weeks(settings, first or settings.first_week.key, last or first or "latest")
    shown(verbose)
    ensure_dagster_home()
    from mta_pipeline.cli.tables import run

    sys.exit(0 if run(weeks, settings, again) else SOME_FAILED)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def weeks(as_json: bool) -> None:
    """Show which weeks are in the lake, failed or missing, as a calendar."""
    settings = Settings.from_environment()
    ensure_dagster_home()
    from mta_pipeline.cli.calendar import show

    show(settings, list(Week.between(settings.first_week, _last(settings))), as_json)


@main.command()
@click.argument("first", metavar="FIRST")
@click.argument("last", metavar="[LAST]", required=False)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write. [default: data/report.html]"
)
def report(first: str, last: str | None, output: Path | None) -> None:
    """Write a page of charts about the weeks from FIRST to LAST (default: FIRST alone), and print its path.

    It is one HTML file that needs no network: ridership, heat map, stations, the state of the lake, data quality.
    Exit code: 1 when none of the weeks has ridership, 2 for a wrong argument.
    """
    settings = Settings.from_environment()
    weeks = _weeks(settings, first, last or first)
    path = output.absolute() if output else PROJECT / "data" / "report.html"
    ensure_dagster_home()
    from mta_pipeline.cli.report import write

    write(weeks, settings, path)
    click.echo(path)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--weeks", "number", type=click.IntRange(min=1), default=8, show_default=True, help="How many.")
@click.option("--last", default="latest", metavar="WEEK", show_default=True, help="The last of them.")
@click.option("--rows", type=click.IntRange(200, 300_000), default=25_000, show_default=True, help="About, a week.")
def sample(folder: Path, number: int, last: str, rows: int) -> None:
    """Write a made-up feed to FOLDER, with the settings to use it in FOLDER/feed.env."""
    from mta_pipeline.cli.progress import counted
    from mta_pipeline.domain.sample import write_feed

    span = _latest_of_history(_week(Settings.from_environment(), last), number)
    try:
        for _ in counted(write_feed(folder, span, rows), "writing sample weeks", len(span)):
            pass
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or folder}: found {type(error).__name__} ({error.strerror or error}); "
            "expected a folder that can be written. Name another FOLDER, or free some space there."
        ) from error
    click.echo(
        f"{len(span)} weeks of about {rows:,} rows in {folder}; to use them: set -a; . {folder}/feed.env; set +a"
    )


@main.command()
def alert_test() -> None:
    """Send a test message to each target of MTA_ALERT_URLS, and tell how that went.

    Exit code: 0 when all of them took it, 1 when some did not.
    """
    settings = Settings.from_environment()
    if not settings.alert_urls:
        raise SettingsError(
            Finding(
                where="MTA_ALERT_URLS",
                found="nothing",
                expected="one address or several, as slack://…, mailtos://…, jsons://…",
                remedy="Set it where the command and the daemon run; the README's section Alerts has examples.",
            )
        )
    from mta_pipeline.domain.alerts import of_test
    from mta_pipeline.domain.targets import send, targets_of

    findings = send(of_test(settings.ui_url), targets_of(settings.alert_urls))
    for name, finding in findings.items():
        click.secho(f"FAILED  {finding}" if finding else f"sent    alert target {name}", fg="red" if finding else None)
    sys.exit(SOME_FAILED if any(findings.values()) else 0)


@main.command()
def doctor() -> None:
    """Look at the set-up: Python, settings, folders, lake, feed, UI, daemon, schedule; say what to do.

    It changes nothing. Exit code: 0 when nothing failed (warnings aside), 1 otherwise.
    """
    from mta_pipeline.cli.doctor import show

    sys.exit(0 if show() else SOME_FAILED)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="On 127.0.0.1.")
def ui(port: int) -> None:
    """Start the Dagster UI and daemon on the instance that `backfill` records into."""
    _must_be_free(port)
    home = ensure_dagster_home()

    from mta_pipeline.cli.runs import report_killed
    from mta_pipeline.orchestration.dagster_edges import begin_with_next_run

    with open_instance() as instance:
        report_killed(instance)
        begin_with_next_run(instance)
    # From its home, because Dagster warns of any other dagster.yaml that it sees.
    os.chdir(home)
    # The warning that `dagster dev` has a successor for projects of another shape is no news to a user.
    os.environ["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded"
    dagster = str(Path(sys.executable).with_name("dagster"))
    os.execv(dagster, [dagster, "dev", "-w", str(PROJECT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)])  # noqa: S606


def _must_be_free(port: int) -> None:
    """End with a sentence where the UI could not listen: Dagster would say so after many other lines."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the webserver does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            finding = Finding(
                where=f"port {port}",
                found="another program listening there" if taken else f"no way to listen ({error.strerror})",
                expected="a free port",
                remedy=f"If that is a UI of yours, open http://127.0.0.1:{port}. Otherwise stop it, or take another "
                f"port: `make ui PORT={port + 1}`.",
            )
            raise click.ClickException(str(finding)) from error


def _weeks(settings: Settings, first: str, last: str) -> list[Week]:
    """The weeks from one argument to the other. Raises `WeekError` for those that do not exist."""
    begin, end = _week(settings, first), _week(settings, last)
    if end < begin:
        raise _wrong(f"LAST, {end.key}", "a week before FIRST", f"{begin.key} or a later one", "Swap the two.")
    oldest, newest = settings.first_week, _last(settings)
    if begin < oldest:
        raise _wrong(
            f"week {begin.key}",
            "a week before the first one",
            f"{oldest.key} or a later one",
            "The history begins there (MTA_FIRST_WEEK).",
        )
    if settings.last_week and end > settings.last_week:
        raise _wrong(
            f"week {end.key}",
            "a week after the last one wanted",
            f"{newest.key} or an earlier one",
            "The history ends there (MTA_LAST_WEEK).",
        )
    if end > newest:
        raise _wrong(
            f"week {end.key}",
            f"a week whose file is due on {end.release_date:%A}, {end.release_date.isoformat()}",
            f"{newest.key} or an earlier one",
            "Wait until it is published.",
        )
    return list(Week.between(begin, end))


def _latest_of_history(last: Week, number: int) -> list[Week]:
    """The `number` weeks up to `last`. Raises `WeekError` where not so many were published by now."""
    newest = Week.newest_published(datetime.now(timezone.utc))
    if last > newest:
        raise _wrong(f"week {last.key}", "a week that is not published yet", f"{newest.key} or an earlier one", "Wait.")
    most = (last.first_day - FIRST_PUBLISHED.first_day).days // 7 + 1
    if number > most:
        raise _wrong(
            f"--weeks {number}",
            f"more weeks than were published up to {last.key}",
            f"at most {max(most, 0)}",
            f"Ask for fewer, or for a later --last. The first week is {FIRST_PUBLISHED.key}.",
        )
    return list(Week.between(last.shifted(1 - number), last))


def _week(settings: Settings, text: str) -> Week:
    return _last(settings) if text == "latest" else Week.parse(text)


def _last(settings: Settings) -> Week:
    """The newest week that is published and wanted."""
    newest = Week.newest_published(datetime.now(timezone.utc))
    return min(newest, settings.last_week) if settings.last_week else newest


def _wrong(where: str, found: str, expected: str, remedy: str) -> WeekError:
    return WeekError(Finding(where=where, found=found, expected=expected, remedy=remedy))


if __name__ == "__main__":
    main()
