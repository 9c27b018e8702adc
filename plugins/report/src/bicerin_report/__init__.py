"""Nets, trainings, weights and images in one page.

Contents(["solver.prototxt", "run.jsonl"], weights=["net.caffemodel"]).data()    what the page shows
write_page(data, "report.html")
Solver("solver.prototxt", hooks=[Recording("run.jsonl")])                         record a training for it
"""

from bicerin_report.contents import Contents
from bicerin_report.page import page, write_page
from bicerin_report.recording import Recording

__all__ = ["Contents", "Recording", "page", "write_page"]
