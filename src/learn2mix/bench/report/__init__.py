"""The report: one page that holds everything it shows."""

from learn2mix.bench.report.page import page, write_report

__all__ = ["page", "write_report"]
