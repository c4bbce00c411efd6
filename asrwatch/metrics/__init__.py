"""Figures for dashboards and verdicts for probes; light: prometheus_client is imported when something is exported."""
