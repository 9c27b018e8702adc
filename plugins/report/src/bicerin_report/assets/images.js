// The part "Images": hits and mistakes, worst and best samples, activations, and channels that never answer.

function imagesPart() {
  const found = data.images;
  const { labelled } = found;
  const element = el("section", { class: "part images" },
    el("div", { class: "cards" },
      card("images", integer(found.count), found.source),
      labelled ? card("hits", percent(labelled.top1)) : "",
      labelled && labelled.top5 !== null ? card("among the first five", percent(labelled.top5)) : "",
      labelled ? card("mean loss", number(labelled.loss), "the mean of −log of the label's probability") : "",
      found.classes ? card("classes", integer(found.classes)) : ""),
    labelled?.left_out ? el("p", { class: "note" }, `${integer(labelled.left_out)} samples have labels that are no classes, and are left out.`) : "",
    activationsOf(found),
    labelled ? [confusionOf(labelled), classesOf(labelled)] : samplesOf(found),
    activityOf(found));
  return { element, title: "Images", shown: () => {} };
}

const className = (number) => data.images.class_names?.[number] ?? String(number);

function thumbnail(sample, size = 64) {
  return sample.picture ? picture(sample.picture, `Sample ${sample.number}`, { class: "pixels thumb", width: size })
    : el("span", { class: "thumb" }, "–");
}

function topOf(sample) {
  return el("ol", { class: "top" }, sample.top.map(([one, share]) => {
    const item = el("li", { class: sample.label === one ? "right" : "", title: `${className(one)}: ${percent(share)}` },
      el("span", { class: "label" }, className(one)), el("span", { class: "share" }, percent(share)));
    item.style.setProperty("--share", `${(100 * (share ?? 0)).toFixed(1)}%`);
    return item;
  }));
}

function samplesOf(found) {
  return [
    el("h2", {}, "Samples"),
    el("div", { class: "tiles" }, found.samples.map((sample) => el("figure", { class: "tile sample" },
      el("figcaption", {}, sample.name || `sample ${sample.number}`),
      el("div", { class: "pair" }, thumbnail(sample, 96), topOf(sample))))),
  ];
}

function activationsOf(found) {
  if (!found.activations.length) return "";
  const many = found.activations[0].pictures.length;
  const stage = el("div", { class: "tiles wide" });
  const answer = el("div", { class: "answer" });
  const buttons = Array.from({ length: many }, (_, place) => [place, found.samples[place]?.picture
    ? thumbnail(found.samples[place], 48) : `sample ${place}`]);
  function show(place) {
    const sample = found.samples[place];
    answer.replaceChildren(...(sample && sample.top.length ? [
      el("div", {}, sample.name ? el("div", { class: "muted" }, sample.name) : "",
        sample.label !== null && sample.label !== undefined ? el("div", {}, "label: ", el("b", {}, className(sample.label))) : ""),
      topOf(sample)] : []));
    stage.replaceChildren(...found.activations.map((row) => el("figure", { class: "tile" },
      el("figcaption", {}, el("b", {}, row.blob), " ", el("span", { class: "shape" }, shape(row.shape)),
        row.channels < row.shape[1] ? el("small", {}, ` the first ${row.channels} channels`) : ""),
      enlarged(row.pictures[place], `Activations of ${row.blob}`, row.size, 300))));
  }
  show(0);
  return [el("h2", {}, "Activations"),
    el("div", { class: "activated" }, choice("Sample", buttons, 0, show), answer),
    stage];
}

function confusionOf(labelled) {
  const { confusion, pairs } = labelled;
  const list = pairs.length ? el("div", { class: "table-box flat narrow" }, el("table", {},
    el("thead", {}, el("tr", {}, ["Label", "Taken for", "Times"].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, pairs.slice(0, 12).map(([label, said, times]) =>
      el("tr", {}, el("td", {}, className(label)), el("td", {}, className(said)), el("td", { class: "right" }, integer(times))))))) : "";
  if (!confusion) return pairs.length ? [el("h2", {}, "Confusions"), list] : "";
  const present = confusion.map((row, index) => index).filter((index) => confusion[index].some((n) => n) || confusion.some((row) => row[index]));
  const names = present.map(className);
  const tilted = names.some((name) => name.length > 3);
  const table = el("table", { class: `confusion${tilted ? " tilted" : ""}` },
    el("caption", {}, "Rows are labels, columns what the net says."),
    el("thead", {}, el("tr", {}, el("td", {}), names.map((name) => el("th", { scope: "col", title: name }, el("span", {}, name))))),
    el("tbody", {}, present.map((label, place) => {
      const total = confusion[label].reduce((one, two) => one + two, 0);
      return el("tr", {}, el("th", { scope: "row", title: names[place] }, names[place]), present.map((said, column) => {
        const count = confusion[label][said];
        const cell = el("td", { class: label === said ? "hit" : count ? "miss" : "", title: `${names[place]} taken for ${names[column]}: ${count} of ${total}` }, count || "");
        cell.style.setProperty("--share", `${total ? (100 * count) / total : 0}%`);
        return cell;
      }));
    })));
  return [el("h2", {}, "Confusions"), el("div", { class: "confusions" }, el("div", { class: "scroll", tabindex: 0, "aria-label": "Confusion matrix" }, table), list)];
}

function classesOf(labelled) {
  const strip = (samples) => el("div", { class: "strip" }, samples.map((sample) => {
    const [said, share] = sample.top[0];
    const wrong = said !== sample.label;
    return el("figure", { class: wrong ? "wrong" : "", title: sample.top.map(([one, value]) => `${className(one)} ${percent(value)}`).join("\n") },
      thumbnail(sample, 56), el("figcaption", {}, wrong ? `${className(said)} ${percent(share)}` : percent(sample.of_label)));
  }));
  return [
    el("h2", {}, labelled.all_classes ? "Worst and best of each class" : "The classes with the most mistakes"),
    el("div", { class: "table-box flat middle" }, el("table", { class: "classes" },
      el("thead", {}, el("tr", {}, ["Class", "Hits", "Worst", "Best"].map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, labelled.of_classes.map((row) => el("tr", {},
        el("th", { scope: "row" }, className(row.class)),
        el("td", {}, `${integer(row.hits)} of ${integer(row.count)}`),
        el("td", {}, strip(row.worst)), el("td", {}, strip(row.best))))))),
  ];
}

function activityOf(found) {
  const rows = found.activity.filter((row) => row.silent);
  if (!found.activity.length) return "";
  return [
    el("h2", {}, "Channels that never answer"),
    rows.length
      ? el("div", { class: "table-box flat narrow" }, el("table", {},
        el("thead", {}, el("tr", {}, ["Blob", "Made by", "Always 0"].map((text) => el("th", { scope: "col" }, text)))),
        el("tbody", {}, rows.map((row) => el("tr", {}, el("td", {}, row.blob), el("td", {}, row.layer),
          el("td", { class: "right" }, `${integer(row.silent)} of ${integer(row.channels)}`))))))
      : el("p", { class: "muted" }, `In each of ${found.activity.length} rectified blobs, every channel answered to some of the ${integer(found.count)} images.`),
  ];
}
