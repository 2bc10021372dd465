"""Self-contained HTML pages of an output: `report.html` over a batch, and the reader's page of single records."""

from tcmstruct.report.report_page import write_report
from tcmstruct.report.view_page import write_view

__all__ = ["write_report", "write_view"]
