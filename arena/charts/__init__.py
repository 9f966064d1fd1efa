"""Charts of results as SVG, made on the server: no script, no outside font, a light and a dark form."""

from arena.charts.cost import cost_chart
from arena.charts.forest import forest_chart
from arena.charts.fronts import fronts_chart
from arena.charts.matrix import matrix_chart
from arena.charts.rendering import Chart, render
from arena.charts.scatter import scatter_chart
from arena.charts.shifts import shifts_chart
from arena.charts.steps import steps_chart

__all__ = [
    "Chart",
    "cost_chart",
    "forest_chart",
    "fronts_chart",
    "matrix_chart",
    "render",
    "scatter_chart",
    "shifts_chart",
    "steps_chart",
]
