"""Settings: defaults, what is refused, and how that is said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mta_pipeline.domain.errors import SettingsError
from mta_pipeline.domain.settings import MTA_FEED, PROJECT, Settings, without_credentials
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, Week


def read(**variables: str) -> Settings:
    return Settings.from_environment(variables)


def test_without_any_variable_the_mtas_feed_goes_to_folders_of_the_project() -> None:
    settings = read()
    assert settings.feed_url == MTA_FEED
    assert settings.feed_scale == 1
    assert settings.lake_url == str(PROJECT / "data" / "lake")
    assert settings.staging_dir == PROJECT / "data" / "staging"
    assert settings.first_week == FIRST_PUBLISHED
    assert settings.last_week is None
    assert settings.overdue_after == timedelta(days=2)
    assert settings.keep_runs == timedelta(days=90)


def test_the_project_is_the_clone_that_holds_workspace_yaml() -> None:
    assert (PROJECT / "workspace.yaml").is_file()


def test_a_blank_variable_is_an_unset_one() -> None:
    names = (
        "FEED_URL",
        "FEED_SCALE",
        "LAKE_URL",
        "STAGING_DIR",
        "FIRST_WEEK",
        "LAST_WEEK",
        "OVERDUE_HOURS",
        "KEEP_RUNS_DAYS",
        "UI_URL",
        "ALERT_URLS",
    )
    blank = {f"MTA_{name}": "  " for name in names}
    assert read(**blank) == read()


def test_blanks_around_a_value_are_dropped() -> None:
    assert read(MTA_FEED_URL=" https://example.org/feed\n").feed_url == "https://example.org/feed"


def test_the_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTA_FIRST_WEEK", "2024-01-06")
    assert Settings.from_environment().first_week == Week.parse("2024-01-06")


def test_other_variables_are_left_alone() -> None:
    assert read(MTA_SOMETHING_ELSE="x", FEED_URL="y") == read()


def test_folders_are_relative_to_the_project_and_know_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = read(MTA_LAKE_URL="somewhere/lake", MTA_STAGING_DIR="~/scratch")
    assert settings.lake_url == str(PROJECT / "somewhere" / "lake")
    assert settings.staging_dir == tmp_path / "scratch"
    assert read(MTA_LAKE_URL=str(tmp_path)).lake_url == str(tmp_path)


@pytest.mark.parametrize("url", ["gs://bucket", "gs://bucket/a/prefix"])
def test_a_bucket_stays_as_given_but_for_slashes_at_its_end(url: str) -> None:
    assert read(MTA_LAKE_URL=url).lake_url == url
    assert read(MTA_LAKE_URL=url + "/").lake_url == url


def test_a_feed_may_be_a_folder_and_loses_the_slash_at_its_end() -> None:
    assert read(MTA_FEED_URL="file:///data/feed/").feed_url == "file:///data/feed"


def test_any_day_names_the_first_and_last_week() -> None:
    settings = read(MTA_FIRST_WEEK="2024-01-09", MTA_LAST_WEEK="2024-01-13")
    assert settings.first_week.key == "2024-01-06"
    assert settings.last_week == Week.parse("2024-01-13")


def test_a_history_of_one_week_is_one() -> None:
    settings = read(MTA_FIRST_WEEK="2024-01-06", MTA_LAST_WEEK="2024-01-06")
    assert settings.first_week == settings.last_week


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("slack://a/b/c", ("slack://a/b/c",)),
        ("slack://a/b/c mailto://me@x.org", ("slack://a/b/c", "mailto://me@x.org")),
        ("slack://a/b/c,\n  json://x;xml://y\n", ("slack://a/b/c", "json://x", "xml://y")),
        ("mailto://x.org?to=a@x.org,b@x.org json://x", ("mailto://x.org?to=a@x.org,b@x.org", "json://x")),
        ("hooks.slack.com/a json://x", ("hooks.slack.com/a", "json://x")),
    ],
)
def test_addresses_of_alerts_are_taken_apart_as_apprise_does(text: str, urls: tuple[str, ...]) -> None:
    assert read(MTA_ALERT_URLS=text).alert_urls == urls
    if "://" in text.split(maxsplit=1)[0]:
        from apprise.utils.parse import parse_urls

        assert tuple(parse_urls(text)) == urls


def test_addresses_of_alerts_are_never_shown() -> None:
    assert "secret" not in repr(read(MTA_ALERT_URLS="slack://secret/b/c"))


def test_the_ui_is_on_this_machine_unless_said_otherwise() -> None:
    assert read().ui_url == "http://127.0.0.1:3000"
    assert read(MTA_UI_URL="https://dagster.example.org/mta/").ui_url == "https://dagster.example.org/mta"


def test_a_refused_address_of_the_ui_is_shown_without_its_password() -> None:
    with pytest.raises(SettingsError) as caught:
        read(MTA_UI_URL="https://me:secret@dagster.example.org")
    assert "***@dagster.example.org" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MTA_FEED_URL", "web.mta.info/developers"),
        ("MTA_FEED_URL", "ftp://web.mta.info"),
        ("MTA_FEED_URL", "http://"),
        ("MTA_FEED_URL", "http:///turnstile"),
        ("MTA_FEED_URL", "http://[::1/feed"),
        ("MTA_FEED_URL", "http://localhost:port/feed"),
        ("MTA_FEED_URL", "file://"),
        ("MTA_FEED_URL", "file://data/feed"),
        ("MTA_FEED_URL", "file:data/feed"),
        ("MTA_FEED_URL", "/data/feed"),
        ("MTA_UI_URL", "dagster.example.org"),
        ("MTA_UI_URL", "ftp://dagster.example.org"),
        ("MTA_UI_URL", "http://"),
        ("MTA_UI_URL", "http://[::1"),
        ("MTA_UI_URL", "http://localhost:port"),
        ("MTA_UI_URL", "http://localhost/?a=b"),
        ("MTA_LAKE_URL", "s3://bucket"),
        ("MTA_LAKE_URL", "gs://"),
        ("MTA_LAKE_URL", "gs:///prefix"),
        ("MTA_LAKE_URL", "~nobody-of-this-name/lake"),
        ("MTA_STAGING_DIR", "~nobody-of-this-name/staging"),
        ("MTA_FIRST_WEEK", "2024"),
        ("MTA_LAST_WEEK", "next week"),
        ("MTA_FEED_SCALE", "0"),
        ("MTA_FEED_SCALE", "-1"),
        ("MTA_FEED_SCALE", "nan"),
        ("MTA_FEED_SCALE", "inf"),
        ("MTA_FEED_SCALE", "2%"),
        ("MTA_OVERDUE_HOURS", "-1"),
        ("MTA_OVERDUE_HOURS", "two days"),
        ("MTA_OVERDUE_HOURS", "nan"),
        ("MTA_OVERDUE_HOURS", "inf"),
        ("MTA_KEEP_RUNS_DAYS", "0"),
        ("MTA_KEEP_RUNS_DAYS", "for ever"),
    ],
)
def test_what_cannot_be_meant_is_refused_naming_variable_value_and_remedy(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{variable: value})
    message = str(caught.value)
    assert variable in message
    assert repr(without_credentials(value)) in message
    assert caught.value.finding.expected
    assert caught.value.finding.remedy


@pytest.mark.parametrize(
    "url", ["htp://user:secret@example.org/feed", "htp://example.org/feed?token=secret", "http://user:se/cret@x.org",
            "http://user:my secret@x.org:port/", "http://user:se?cret@x.org:port/"],
)  # fmt: skip
def test_a_refused_feed_address_is_shown_without_password_and_token(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(MTA_FEED_URL=url)
    assert "://" in str(caught.value)
    assert "***" in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_query_stays_with_the_feed_and_the_slash_before_it_goes() -> None:
    assert read(MTA_FEED_URL="https://x.org/feed/?sig=a/").feed_url == "https://x.org/feed?sig=a/"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://x.org/feed", "http://x.org/feed"),
        ("file:///data/feed", "file:///data/feed"),
        ("https://user:pass@x.org:80/f", "https://***@x.org:80/f"),
        ("https://token@x.org/f", "https://***@x.org/f"),
        ("https://user:p@ss@x.org/f", "https://***@x.org/f"),
        ("https://x.org/f?sv=1&sig=abc%2F", "https://x.org/f?***"),
        ("https://x.org/f?abc#def", "https://x.org/f?***"),
        ("found (https://x.org/f?a=b) there", "found (https://x.org/f?*** there"),
        ("url: /feed?token=abc (Caused by …)", "url: /feed?*** (Caused by …)"),
        ("Really? Yes", "Really? Yes"),
    ],
)
def test_credentials_are_hidden_wherever_an_address_can_have_them(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


def test_a_last_week_before_the_first_is_refused_naming_both() -> None:
    with pytest.raises(SettingsError, match=r"MTA_LAST_WEEK.*2024-01-06.*MTA_FIRST_WEEK, 2024-01-13"):
        read(MTA_FIRST_WEEK="2024-01-13", MTA_LAST_WEEK="2024-01-06")
