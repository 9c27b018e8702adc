// The part "Weights": the first filters, a histogram of each blob, and what changed from snapshot to snapshot.

function weightsPart() {
  const { weights } = data;
  const over = overTime("from snapshot to snapshot; updates are the mean of a step");
  const { filters } = weights;
  const element = el("section", { class: "part weights" },
    el("p", { class: "muted" }, "Of ", el("span", { class: "code" }, weights.file), "."),
    weights.missing.length ? el("p", { class: "note" }, `Not in the file: ${weights.missing.join(", ")}.`) : "",
    weights.unused.length ? el("p", { class: "note" }, `In the file, and of no layer here: ${weights.unused.join(", ")}.`) : "",
    filters ? el("figure", { class: "filters" },
      el("figcaption", {}, `The filters of ${filters.layer}, ${shape(filters.shape)}`,
        filters.shown < filters.shape[0] ? `, the first ${filters.shown}` : "",
        filters.shape[1] === 3 ? "" : "; grey is 0, white is above"),
      enlarged(filters.picture, `Filters of ${filters.layer}`, filters.size, 420)) : "",
    el("h2", {}, "Distributions"),
    el("div", { class: "tiles" }, weights.blobs.map(blobTile)),
    over.element);
  if (weights.over_time) over.show([{ name: "", weights: weights.over_time }]); else over.show([]);
  return { element, title: "Weights", shown: () => over.charts.forEach((one) => one.resized()) };
}

/** A picture of few pixels at a whole multiple of its size. */
function enlarged(source, alt, [height, width], most) {
  const scale = Math.max(1, Math.floor(most / Math.max(width, height)));
  return picture(source, alt, { class: "pixels", width: width * scale, height: height * scale });
}

function blobTile(blob) {
  const { counts, from, to } = blob.histogram;
  const most = Math.max(1, ...counts);
  const [width, height] = [220, 72];
  const step = width / counts.length;
  const bars = counts.map((count, place) => count && svg("rect", {
    x: (place * step).toFixed(2), width: Math.max(0.5, step - 0.6).toFixed(2),
    y: (height - Math.max(1, (count / most) * height)).toFixed(2), height: Math.max(1, (count / most) * height).toFixed(2),
  }, svg("title", {}, `${number(from + (place / counts.length) * (to - from))} to ${number(from + ((place + 1) / counts.length) * (to - from))}: ${integer(count)}`)));
  const zero = from < 0 && to > 0 ? svg("line", { x1: (-from / (to - from)) * width, x2: (-from / (to - from)) * width, y1: 0, y2: height, class: "zero" }) : "";
  return el("figure", { class: "tile" },
    el("figcaption", { title: `${blob.layer}, parameter ${blob.position}` }, el("b", {}, blob.layer), ` ${blob.position}`, el("span", { class: "shape" }, shape(blob.shape))),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "histogram", role: "img", "aria-label": `Histogram of ${blob.layer} ${blob.position}`, preserveAspectRatio: "none" }, bars, zero),
    el("div", { class: "ends" }, el("span", {}, number(from, 3)), el("span", {}, number(to, 3))),
    el("dl", { class: "small" },
      el("dt", {}, "norm"), el("dd", {}, number(blob.norm)),
      el("dt", {}, "mean"), el("dd", {}, number(blob.mean, 3)),
      el("dt", {}, "deviation"), el("dd", {}, number(blob.deviation, 3)),
      blob.units ? [el("dt", {}, "dead units"), el("dd", { class: blob.dead ? "bad" : "" }, `${integer(blob.dead)} of ${integer(blob.units)}`)] : "",
      blob.zeros ? [el("dt", {}, "zeros"), el("dd", {}, percent(blob.zeros / blob.count))] : "",
      blob.not_finite ? [el("dt", {}, "not finite"), el("dd", { class: "bad" }, integer(blob.not_finite))] : ""));
}
