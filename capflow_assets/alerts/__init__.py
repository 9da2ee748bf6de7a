"""Who is told of what goes wrong: rules of a deployment, what is new since the last time, and the ways to tell.

Belongs here: the file ``alerts.toml``, grouping, and e-mail, Slack-compatible webhooks and PagerDuty. Does not belong
here: what is wrong (``graph.alarms``) and when it is looked at (``graph.alert_sensor``).
"""
