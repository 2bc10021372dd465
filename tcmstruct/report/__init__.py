"""Self-contained HTML pages of an output: `report.html` over a batch, and the reader's page of single records."""

from tcmstruct.report.page import write_private
from tcmstruct.report.report_page import make_report, write_report
from tcmstruct.report.view_page import write_view

__all__ = ["make_report", "write_private", "write_report", "write_view"]
