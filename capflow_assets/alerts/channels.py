"""The ways to tell: e-mail by SMTP, a Slack-compatible webhook, PagerDuty's events.

A message that cannot be sent raises, with words that hold no secret; it is tried again at the next look.
"""

from __future__ import annotations

import json
import smtplib
import ssl
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

from capflow_assets.alerts.news import Message
from capflow_assets.alerts.settings import AlertRule, Email, PagerDuty
from capflow_assets.errors import CapflowError
from capflow_assets.transfer.http import Endpoint, NoAnswer, NotSent, url_problem
from capflow_assets.transfer.secrets import first_line

SECONDS = 15.0
# Slack cuts longer texts.
MOST_SLACK_CHARACTERS = 3_500


def send(rule: AlertRule, message: Message) -> None:
    """Tell whom a rule names.

    Raises:
        CapflowError: it could not be sent, and why.
    """
    if rule.email is not None:
        _mail(rule, rule.email, message)
    elif rule.slack is not None:
        _post(rule, rule.slack.url.value(), _slack(message), may_be_private=rule.slack.allow_private)
    elif rule.pagerduty is not None:
        for event in pagerduty_events(rule.pagerduty, message):
            _post(rule, rule.pagerduty.url, event, may_be_private=rule.pagerduty.allow_private)


def _slack(message: Message) -> dict[str, Any]:
    # Slack reads these three signs as markup.
    text = f"*{message.title}*\n{message.text}"
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, written)
    return {"text": text[:MOST_SLACK_CHARACTERS]}


def pagerduty_events(way: PagerDuty, message: Message) -> list[dict[str, Any]]:
    """An event for each trouble, by which PagerDuty knows it again, and one that resolves each that is over."""
    key = way.routing_key.value()
    begun = [
        {
            "routing_key": key,
            "event_action": "trigger",
            "dedup_key": f"capflow|{one.key}"[:255],
            "payload": {
                "summary": f"{one.what}: {one.line()}"[:1024],
                "source": one.customer,
                "severity": "error" if one.what in ("customer failed", "champion broken") else "warning",
                "component": one.subject or one.what,
            },
            **({"links": [{"href": one.link, "text": "look"}]} if one.link else {}),
        }
        for one in message.fresh
    ]
    over = [
        {"routing_key": key, "event_action": "resolve", "dedup_key": f"capflow|{gone}"[:255]} for gone in message.over
    ]
    return [*begun, *over]


def _post(rule: AlertRule, url: str, body: dict[str, Any], *, may_be_private: bool) -> None:
    host = urlsplit(url).hostname or "its address"
    if problem := url_problem(url, may_be_private=may_be_private):
        raise CapflowError(f"The alert {rule.name} was not sent: its address cannot be used", expected=problem)
    endpoint = Endpoint(url, timeout_seconds=SECONDS, may_be_private=may_be_private)
    try:
        answer = endpoint.request(
            "POST", endpoint.path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
    except (NotSent, NoAnswer) as error:
        raise CapflowError(f"The alert {rule.name} was not sent", came=str(error), where=host) from error
    finally:
        endpoint.close()
    if not 200 <= answer.status < 300:
        received = f"status {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}"
        raise CapflowError(f"The alert {rule.name} was refused", came=received, where=host)


def _mail(rule: AlertRule, way: Email, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.title, way.sender, ", ".join(way.to)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text + "\n")
    password = way.password.value() if way.password is not None else None
    context = ssl.create_default_context()
    try:
        with (
            smtplib.SMTP_SSL(way.host, way.port, timeout=SECONDS, context=context)
            if way.encryption == "tls"
            else smtplib.SMTP(way.host, way.port, timeout=SECONDS)
        ) as server:
            if way.encryption == "starttls":
                server.starttls(context=context)
            if way.user is not None and password is not None:
                server.login(way.user, password)
            refused = server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        received = first_line(error, password)
        raise CapflowError(
            f"The alert {rule.name} was not sent", came=received, where=f"{way.host}:{way.port}"
        ) from error
    if refused:
        raise CapflowError(
            f"The alert {rule.name} was refused for some", came=", ".join(sorted(refused)), where=way.host
        )
