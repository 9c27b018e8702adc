// Curves, by uPlot: drawn anew where the width or the colours change.

const charts = new Set();

class Chart {
  /**
   * @param {string} title
   * @param {{log?: boolean, zero?: boolean, x?: string, format?: (value: number) => string, height?: number}} options
   */
  constructor(title, options = {}) {
    this.title = title;
    this.options = options;
    this.curves = [];
    this.marks = [];
    this.body = el("div", { class: "curves" });
    this.element = el("figure", { class: "chart" }, el("figcaption", {}, title), this.body);
    new ResizeObserver(() => this.resized()).observe(this.body);
    charts.add(this);
  }

  /**
   * @param curves {{label, color, x, y, width?, faint?, points?, dash?}[]}
   * @param marks {{x, color, label}[]} at the foot of the chart
   */
  show(curves, marks = [], options = {}) {
    Object.assign(this.options, options);
    this.curves = curves.filter((one) => one.x.length);
    this.marks = marks;
    this.draw();
  }

  resized() {
    const width = Math.floor(this.body.clientWidth);
    if (!width || width === this.width) return;
    if (this.plot) { this.width = width; this.plot.setSize({ width, height: this.height() }); } else this.draw();
  }

  height() { return this.options.height ?? (window.innerWidth < 700 ? 200 : 240); }

  draw() {
    const width = Math.floor(this.body.clientWidth);
    if (this.plot) { this.plot.destroy(); this.plot = null; }
    this.body.replaceChildren();
    this.element.hidden = !this.curves.length;
    if (!this.curves.length || !width) return;
    this.width = width;
    const { log, zero, format = number, x = "iteration" } = this.options;
    const table = uPlot.join(this.curves.map((curve) => [
      curve.x, log ? curve.y.map((value) => (value > 0 ? value : null)) : curve.y,
    ]));
    const axis = { stroke: color("muted"), grid: { stroke: color("grid"), width: 1 }, ticks: { stroke: color("grid") },
      font: "12px system-ui, sans-serif" };
    this.plot = new uPlot({
      width, height: this.height(),
      padding: [8, 24, 0, 0], // half of the last number under the axis
      cursor: { sync: { key: `x:${x}` }, points: { size: 6 }, drag: { x: true, y: false } },
      legend: { live: true },
      scales: { x: { time: false }, y: log ? { distr: 3 } : zero ? { range: (_, __, most) => [0, most * 1.08 || 1] } : {} },
      axes: [
        { ...axis, values: (_, values) => values.map((value) => (x === "time" ? clock(value) : short(value))), space: 60, size: 34 },
        { ...axis, size: 56, values: (_, values) => values.map((value) => (value === null ? "" : format(value))) },
      ],
      series: [
        { label: x, value: (_, value) => (value === null ? "–" : x === "time" ? clock(value) : integer(value)) },
        ...this.curves.map((curve) => ({
          label: curve.label, stroke: curve.faint ? translucent(curve.color) : curve.color,
          width: curve.width ?? 2, dash: curve.dash, points: { show: curve.points ?? curve.x.length < 2, size: 6 },
          value: (_, value) => (value === null || value === undefined ? "–" : format(value)),
        })),
      ],
      hooks: { draw: [(plot) => this.drawMarks(plot)] },
    }, table, this.body);
  }

  drawMarks(plot) {
    const { ctx, bbox } = plot;
    const size = 5 * devicePixelRatio;
    ctx.save();
    for (const mark of this.marks) {
      const x = plot.valToPos(mark.x, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const y = bbox.top + bbox.height;
      ctx.fillStyle = mark.color;
      ctx.beginPath();
      ctx.moveTo(x - size, y); ctx.lineTo(x + size, y); ctx.lineTo(x, y - 1.6 * size);
      ctx.closePath();
      ctx.fill();
    }
    ctx.restore();
  }
}

onTheme(() => charts.forEach((chart) => chart.draw()));

function clock(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.round(seconds % 60)];
  const two = (value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

function translucent(value) {
  const match = /^#(..)(..)(..)$/.exec(value);
  return match ? `rgba(${match.slice(1).map((one) => parseInt(one, 16)).join(", ")}, 0.28)` : value;
}

/** The exponential mean, without the pull of its start; gaps stay. */
function smoothed(values, weight) {
  if (!weight) return values;
  let mean = 0, share = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return mean / share;
  });
}
