// The part "Run": curves of one training or of several over one another, and how far each is.

function runsPart() {
  let runs = data.runs;
  const hidden = new Set();
  const state = { weight: 0.9, x: "iteration", log: false };
  const charts = new Map();
  const table = el("div", { class: "table-box flat" });
  const grid = el("div", { class: "charts" });
  const over = overTime();
  const slider = el("input", { type: "range", min: 0, max: 0.99, step: 0.01, value: state.weight, "aria-label": "Smoothing",
    oninput: () => { state.weight = Number(slider.value); draw(); } });
  const element = el("section", { class: "part runs" },
    table,
    el("div", { class: "tools" },
      choice("Horizontal axis", [["iteration", "Iterations"], ["time", "Time"]], state.x, (value) => { state.x = value; draw(); }),
      choice("Loss", [[false, "Linear"], [true, "Logarithmic"]], state.log, (value) => { state.log = value; draw(); }),
      el("label", {}, "Smoothing ", slider)),
    grid,
    over.element);

  const colorOf = (run) => seriesColor(runs.indexOf(run));

  function chart(key, title, options) {
    if (!charts.has(key)) {
      charts.set(key, new Chart(title, options));
      grid.append(charts.get(key).element);
    }
    return charts.get(key);
  }

  /** A curve's x, as iterations or as seconds. */
  function placed(run, curve) {
    if (state.x === "iteration") return curve;
    const { x, y } = run.seconds;
    if (!x.length || y[0] === null) return { x: [], y: [] };
    let at = 0;
    const seconds = curve.x.map((iteration) => {
      while (at < x.length - 2 && x[at + 1] < iteration) at += 1;
      if (x.length === 1 || iteration <= x[0]) return y[0] ?? 0;
      const share = Math.min(1, (iteration - x[at]) / (x[at + 1] - x[at] || 1));
      return y[at] + share * (y[at + 1] - y[at]);
    });
    const kept = seconds.map((second, place) => [second, curve.y[place]])
      .filter(([second], place) => !place || second > seconds[place - 1]);
    return { x: kept.map(([second]) => second), y: kept.map(([, value]) => value) };
  }

  function draw() {
    const shown = runs.filter((run) => !hidden.has(run.path));
    const label = (run, text) => (runs.length > 1 ? `${run.name} ${text}` : text);
    const marks = shown.flatMap((run) => run.snapshots.map(([iteration, path]) =>
      ({ x: placed(run, { x: [iteration], y: [0] }).x[0], color: colorOf(run), label: path })).filter((mark) => mark.x !== undefined));
    const names = (part) => [...new Set(runs.flatMap((run) => Object.keys(run[part])))];
    for (const name of names("train")) {
      const curves = shown.filter((run) => run.train[name]).flatMap((run) => {
        const curve = placed(run, run.train[name]);
        const raw = { label: label(run, "train"), color: colorOf(run), ...curve };
        if (!state.weight || curve.x.length < 10) return [raw];
        return [{ ...raw, width: 1, faint: true, label: `${raw.label}, each` }, { ...raw, y: smoothed(curve.y, smoothing(state.weight, curve.y.length)) }];
      });
      for (const run of shown.filter((one) => one.test[name]))
        curves.push({ label: label(run, "test"), color: runs.length > 1 ? colorOf(run) : seriesColor(1), dash: [6, 4], points: true, ...placed(run, run.test[name]) });
      chart(`train ${name}`, name, {}).show(curves, marks, { log: state.log, x: state.x });
    }
    for (const name of names("test").filter((one) => !names("train").includes(one))) {
      const curves = shown.filter((run) => run.test[name])
        .map((run) => ({ label: label(run, name), color: colorOf(run), points: true, ...placed(run, run.test[name]) }));
      chart(`test ${name}`, `${name}, test`, {}).show(curves, [], { x: state.x });
    }
    chart("rate", "learning rate", {}).show(shown.map((run) => ({ label: label(run, "rate"), color: colorOf(run), ...placed(run, run.learning_rate) })), [], { x: state.x });
    const inImages = runs.every((run) => run.images);
    chart("pace", inImages ? "images a second" : "iterations a second", { zero: true, format: (value) => number(value, 3) }).show(
      shown.map((run) => {
        const curve = placed(run, run.pace);
        return { label: label(run, "pace"), color: colorOf(run), x: curve.x, y: curve.y.map((v) => (v === null || !inImages ? v : v * run.images)) };
      }), [], { x: state.x });
    tabulate();
    over.show(shown.filter((run) => run.weights).map((run) => ({ name: run.name, weights: run.weights })));
  }

  function tabulate() {
    const head = ["Run", "Iterations", "Loss", "Test", "Pace", "Took", "Left", "Snapshots"];
    table.replaceChildren(el("table", {},
      el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, runs.map((run) => {
        const swatch = el("span", { class: "swatch" });
        swatch.style.setProperty("background", colorOf(run));
        const box = el("input", { type: "checkbox", "aria-label": `Show ${run.name}`, onchange: () => {
          if (box.checked) hidden.delete(run.path); else hidden.add(run.path);
          draw();
        } });
        box.checked = !hidden.has(run.path);
        const progress = run.max_iter ? el("progress", { max: run.max_iter, value: Math.min(run.iteration, run.max_iter), "aria-label": "Progress" }) : "";
        return el("tr", {},
          el("th", { scope: "row", title: run.path }, el("label", {}, box, swatch, " ", run.name)),
          el("td", {}, integer(run.iteration), run.max_iter ? ` of ${integer(run.max_iter)}` : "", progress),
          el("td", {}, number(lastOf(lossOf(run)))),
          el("td", {}, Object.entries(run.test).slice(0, 3).map(([name, curve]) => el("div", {}, `${name} ${number(lastOf(curve))}`))),
          el("td", {}, paceText(run)),
          el("td", {}, duration((lastOf(run.seconds) ?? NaN))),
          el("td", {}, leftText(run)),
          el("td", {}, snapshotsOf(run)));
      }))));
  }

  function update(found) {
    runs = found;
    draw();
  }

  draw();
  return { element, title: runs.length > 1 ? "Runs" : "Run", shown: () => [...charts.values(), ...over.charts].forEach((one) => one.resized()), update };
}

/** The weight of the exponential mean: the slider's is for a curve of a thousand points, so that short ones do not lag. */
function smoothing(weight, points) {
  const window = (weight / (1 - weight)) * (points / 1000) * 4;
  return window / (1 + window);
}

const lastOf = (curve) => (curve && curve.y.length ? curve.y[curve.y.length - 1] : null);
const lossOf = (run) => run.train.loss ?? Object.values(run.train)[0];

function pace(run) {
  const known = run.pace.y.filter((value) => value !== null).slice(-20).sort((one, two) => one - two);
  return known.length ? known[Math.floor(known.length / 2)] : null;
}

function paceText(run) {
  const found = pace(run);
  if (found === null) return "–";
  return run.images ? `${number(found * run.images, 3)} images/s` : `${number(found, 3)} iterations/s`;
}

function leftText(run) {
  if (!run.max_iter) return "–";
  if (run.iteration >= run.max_iter) return "done";
  const found = pace(run);
  return found === null ? "–" : duration((run.max_iter - run.iteration) / found);
}

function snapshotsOf(run) {
  if (!run.snapshots.length) return "–";
  const [, last] = run.snapshots[run.snapshots.length - 1];
  return el("span", { title: run.snapshots.map(([iteration, path]) => `${iteration}: ${path}`).join("\n") },
    `${run.snapshots.length}, the last `, el("span", { class: "code" }, last.split(/[\\/]/).pop()));
}

/** How the weights move: update over weight, norms, and dead units of each blob. */
function overTime(note = "") {
  const charts = [
    new Chart("update / weight, a step", { log: true }),
    new Chart("norm of the weights", {}),
    new Chart("dead units", { format: (value) => number(value, 3) }),
  ];
  const pick = el("select", { "aria-label": "Which parameters", onchange: () => draw() });
  let shown = [];
  const element = el("div", { class: "over" },
    el("div", { class: "tools" }, el("h2", {}, "Weights over time"), el("label", {}, "Parameters ", pick), note ? el("span", { class: "muted" }, note) : ""),
    el("div", { class: "charts" }, charts.map((one) => one.element)));

  function draw() {
    const parts = [[], [], []];
    let index = 0;
    for (const { name, weights } of shown) {
      for (const [blob, { x, norm, update, dead }] of Object.entries(weights)) {
        if (pick.value === "weights" && !blob.endsWith(" 0")) continue;
        if (!["weights", "all"].includes(pick.value) && pick.value !== `= ${blob}`) continue;
        const common = { label: shown.length > 1 ? `${name} ${blob}` : blob, color: seriesColor(index), x, width: 1.5, points: x.length < 12 };
        index += 1;
        parts[0].push({ ...common, y: update.map((value, place) => (value !== null && norm[place] ? value / norm[place] : null)) });
        parts[1].push({ ...common, y: norm });
        if (dead.some((value) => value)) parts[2].push({ ...common, y: dead });
      }
    }
    charts.forEach((one, place) => one.show(parts[place]));
  }

  function show(list) {
    shown = list;
    element.hidden = !shown.length;
    const names = [...new Set(shown.flatMap(({ weights }) => Object.keys(weights)))];
    const now = pick.value || "weights";
    pick.replaceChildren(el("option", { value: "weights" }, "weights of all layers"), el("option", { value: "all" }, "all"),
      ...names.map((name) => el("option", { value: `= ${name}` }, name)));
    pick.value = now;
    if (!pick.value) pick.value = "weights";
    if (shown.length) draw();
  }
  return { element, charts, show };
}
