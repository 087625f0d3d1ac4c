"""The small plots of measurements as parts of a PDF document."""

from __future__ import annotations

from reportlab.lib import colors
from reportlab.platypus import Flowable

from cspine.report.plots import WIDTH, Plot, PlotRow

_SCALE = 0.75
_INK, _DIM, _GRID = colors.HexColor("#1f2933"), colors.HexColor("#5a6775"), colors.HexColor("#dfe4ea")
_VALUE, _RANGE, _OUTSIDE = colors.HexColor("#0b4f7d"), colors.HexColor("#c9dbe8"), colors.HexColor("#b3261e")


class PlotFlowable(Flowable):  # type: ignore[misc]
    """A plot in the flow of a document.

    Parameters
    ----------
    plot : Plot
        What is drawn.
    font : str
        Name of a registered font.
    """

    def __init__(self, plot: Plot, font: str) -> None:
        super().__init__()
        self.plot, self.font = plot, font
        self.width, self.height = WIDTH * _SCALE, plot.height * _SCALE

    def draw(self) -> None:
        """Draw the plot at the origin of the canvas."""
        self.canv.scale(_SCALE, _SCALE)
        self._draw_axis()
        for row in self.plot.rows:
            self._draw_row(row)

    def _y(self, y: float) -> float:
        return self.plot.height - y

    def _draw_axis(self) -> None:
        self.canv.setFont(self.font, 9)
        for x, text in self.plot.ticks:
            self.canv.setStrokeColor(_GRID)
            self.canv.line(x, self._y(4), x, self._y(self.plot.axis_y))
            self.canv.setFillColor(_DIM)
            self.canv.drawCentredString(x, self._y(self.plot.axis_y + 13), text)

    def _draw_row(self, row: PlotRow) -> None:
        y = self._y(row.y)
        if row.bar is not None:
            self.canv.setFillColor(_RANGE)
            self.canv.roundRect(row.bar[0], y - 5, max(row.bar[1], 1.0), 10, 3, stroke=0, fill=1)
        self.canv.setFillColor(_OUTSIDE if row.is_outside else _VALUE)
        if row.is_outside:
            path = self.canv.beginPath()
            path.moveTo(row.x - 5, y - 5)
            path.lineTo(row.x + 5, y - 5)
            path.lineTo(row.x, y + 5)
            path.close()
            self.canv.drawPath(path, stroke=0, fill=1)
        else:
            self.canv.circle(row.x, y, 4, stroke=0, fill=1)
        self.canv.setFillColor(_INK)
        self.canv.setFont(self.font, 10.5)
        self.canv.drawString(0, y - 4, row.site)
        self.canv.drawString(self.plot.right + 12, y - 4, row.text)
