"""How do log lines look?  JSON in workers and pods, one readable line on a terminal."""

from __future__ import annotations

import sys

import structlog


def configure_logging(*, json_lines: bool) -> None:
    """Events go to stderr, so that stdout stays free for results."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
