"""``report.html``: one self-contained page, made from the sections of a run.

rendering    the page: template, style, scripts, what they may do
views        what the template shows of each section, and what the script builds when it is asked for
grids        a table as cells
images       pictures and thumbnails inside the page
about        what belongs to the run as a whole: sets, failures, how to reproduce it
encoding     JSON, images and hashes as text in HTML
"""

from evaljobs.report.page.rendering import PAGE, render_page

__all__ = ["PAGE", "render_page"]
