"""The summary of an evaluation as one HTML file that opens from disk, without a network.

from tasksr_ros.evaluation.report import write_report
write_report(summary, Path("report.html"), images=Path("drive"))
"""

from tasksr_ros.evaluation.report.page import render, write_report
from tasksr_ros.evaluation.report.super_resolution import super_resolver

__all__ = ["render", "super_resolver", "write_report"]
