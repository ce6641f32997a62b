const ROW_HEIGHT = 28;
const rows = data.rows;

// What the table and the charts show of each row.
for (const row of rows) {
  const parts = row.skeleton === null ? [] : data.skeletons[row.skeleton].components;
  const shares = { body: [], face: [], hand: [] };
  row.left = row.right = null;
  parts.forEach((part, index) => {
    if (!part.part || !row.components[index]) return;
    const present = row.components[index][0];
    shares[part.part].push(present);
    if (part.part === "body" && row.confidence === undefined) {
      row.confidence = row.components[index][1] && row.components[index][1][1];
      row.jitter = row.components[index][2];
    }
    if (part.part === "hand") row[/right/i.test(part.name) ? "right" : "left"] = present;
  });
  const least = (values) => (values.length ? Math.min(...values) : null);
  [row.body, row.face, row.hands] = [least(shares.body), least(shares.face), least(shares.hand)];
  row.confidence ??= null;
  row.jitter ??= null;
  row.size = `${row.width}×${row.height}`;
  row.lower = row.file.toLowerCase();
}

const share = (value) => (value === null ? "–" : percent(value));
const COLUMNS = [
  ["file", "file", (row) => row.file],
  ["faults", "faults", (row) => row.faults.toFixed(3)],
  ["frames", "frames", (row) => String(row.frames)],
  ["seconds", "length", (row) => (row.seconds === null ? "–" : clock(row.seconds))],
  ["people", "people", (row) => String(row.people)],
  ["body", "body", (row) => share(row.body)],
  ["face", "face", (row) => share(row.face)],
  ["hands", "hands", (row) => share(row.hands)],
  ["jumps", "jumps", (row) => String(row.jumps)],
  ["swaps", "swaps", (row) => String(row.swaps)],
  ["confidence", "confid.", (row) => fixed(row.confidence, 2)],
  ["jitter", "jitter", (row) => fixed(row.jitter, 2)],
  ["fps", "fps", (row) => String(Number(row.fps.toFixed(3)))],
  ["size", "size", (row) => row.size],
];
const PRESETS = {
  jumps: (row) => row.jumps > 0,
  swaps: (row) => row.swaps > 0,
  nobody: (row) => row.frames_with_people === 0,
  "no-hand": (row) => row.hands !== null && row.hands < 0.5,
  "no-face": (row) => row.face !== null && row.face < 0.5,
};

// The state is in the address, so that it outlives a page that loads itself again.
const state = { sort: "faults", down: true, name: "", preset: "", range: null, file: null };
function restore() {
  if (!location.hash.includes("=")) return;
  const kept = new URLSearchParams(location.hash.slice(1));
  if (COLUMNS.some(([key]) => key === kept.get("sort"))) state.sort = kept.get("sort");
  state.down = kept.get("down") !== "0";
  state.name = kept.get("name") || "";
  state.preset = kept.get("preset") in PRESETS ? kept.get("preset") : "";
  state.file = kept.get("file");
}
function keep() {
  const kept = new URLSearchParams({ sort: state.sort, down: state.down ? "1" : "0" });
  for (const key of ["name", "preset", "file"]) if (state[key]) kept.set(key, state[key]);
  history.replaceState(null, "", `#${kept}`);
}

let shown = rows;
const viewport = byId("viewport");

function update(scrolls = true) {
  const name = state.name.toLowerCase();
  const preset = PRESETS[state.preset];
  shown = rows.filter(
    (row) => row.lower.includes(name) && (!preset || preset(row)) && (!state.range || state.range.holds(row)),
  );
  const { sort, down } = state;
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  shown.sort((a, b) => {
    const [x, y] = [a[sort], b[sort]];
    // What has no value comes last, whichever way.
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "string" ? compare(x, y) : x - y;
    return down ? -order : order;
  });
  byId("count").textContent = `${shown.length.toLocaleString()} of ${rows.length.toLocaleString()} files`;
  byId("range").textContent = state.range ? state.range.label : "";
  for (const button of byId("head").querySelectorAll("button")) {
    const isSorted = button.dataset.key === sort;
    if (isSorted) button.setAttribute("aria-sort", down ? "descending" : "ascending");
    else button.removeAttribute("aria-sort");
    button.textContent = button.dataset.label + (isSorted ? (down ? " ↓" : " ↑") : "");
  }
  byId("spacer").style.height = `${shown.length * ROW_HEIGHT}px`;
  if (scrolls) viewport.scrollTop = 0;
  draw();
}

/// Only the rows that can be seen are in the page, and their elements are used again and again: a click that begins
/// while the table is drawn ends on the same element.
const lines = [];
function addLine() {
  const name = element("bdi");
  const cells = COLUMNS.map((_, column) => element("span", { role: "gridcell" }, ...(column ? [] : [name])));
  const line = { row: null, name, cells, element: element("div", { class: "row", role: "row" }, ...cells) };
  line.element.addEventListener("click", () => line.row && select(line.row, true));
  byId("rows").append(line.element);
  lines.push(line);
}

function draw() {
  const first = Math.max(0, Math.floor(viewport.scrollTop / ROW_HEIGHT) - 5);
  const count = Math.ceil(viewport.clientHeight / ROW_HEIGHT) + 10;
  const visible = shown.slice(first, first + count);
  while (lines.length < visible.length) addLine();
  lines.forEach((line, index) => {
    const row = visible[index] || null;
    line.element.hidden = !row;
    if (!row) return;
    line.element.setAttribute("aria-selected", String(row.file === state.file));
    if (line.row === row) return;
    line.row = row;
    line.name.textContent = line.name.title = row.file;
    for (let column = 1; column < COLUMNS.length; column++) line.cells[column].textContent = COLUMNS[column][2](row);
  });
  byId("rows").style.transform = `translateY(${first * ROW_HEIGHT}px)`;
}

for (const [key, label] of COLUMNS) {
  const button = element("button", { type: "button", "data-key": key, "data-label": label }, label);
  button.addEventListener("click", () => {
    // Names are looked up from A on, numbers from the largest on.
    state.down = state.sort === key ? !state.down : key !== "file";
    state.sort = key;
    keep();
    update();
  });
  byId("head").append(element("span", { role: "columnheader" }, button));
}
viewport.addEventListener("scroll", draw, { passive: true });
byId("filter").addEventListener("input", (event) => {
  state.name = event.target.value;
  keep();
  update();
});
byId("preset").addEventListener("change", (event) => {
  state.preset = event.target.value;
  keep();
  update();
});
byId("clear").addEventListener("click", () => {
  Object.assign(state, { name: "", preset: "", range: null });
  byId("filter").value = byId("preset").value = "";
  keep();
  update();
});
byId("table").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !shown.length) return;
  event.preventDefault();
  const place = shown.findIndex((row) => row.file === state.file);
  const next = Math.min(shown.length - 1, Math.max(0, place + step));
  const top = next * ROW_HEIGHT;
  if (top < viewport.scrollTop) viewport.scrollTop = top;
  if (top + ROW_HEIGHT > viewport.scrollTop + viewport.clientHeight) {
    viewport.scrollTop = top + ROW_HEIGHT - viewport.clientHeight;
  }
  select(shown[next], false);
});

// Charts.
const charts = [];
function chart(title, key, note, bars) {
  const figure = element("figure", {}, element("figcaption", {}, title, element("span", {}, note ? ` ${note}` : "")));
  byId("charts").append(figure);
  const width = Math.max(200, figure.clientWidth - 20);
  const blue = PALETTE[0];
  const plot = new uPlot(
    {
      width,
      height: 150,
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: false, range: () => [bars.from, bars.to] }, y: { range: (_, __, most) => [0, Math.max(1, most)] } },
      axes: [
        axis({ values: bars.labels, splits: bars.splits, size: 28, grid: { show: false } }),
        axis({ size: 48, space: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000] }),
      ],
      series: [
        {},
        { fill: style("--accent"), stroke: blue, width: 0, paths: uPlot.paths.bars({ size: [0.9, 80] }), points: { show: false } },
      ],
    },
    [bars.places, bars.counts],
    figure,
  );
  charts.push([plot, figure]);
  plot.over.addEventListener("click", () => {
    const bar = plot.cursor.idx;
    if (bar === null || bar === undefined) return;
    state.range = { label: `${title}: ${bars.name(bar)}`, holds: (row) => row[key] !== null && bars.bin(row[key]) === bar };
    update();
    byId("h-files").scrollIntoView({ block: "start" });
  });
  plot.over.setAttribute("title", title);
}

/// Numbers in bins of equal width.
function histogram(title, key, { from, to, format, note, bins = 20 }) {
  const values = rows.map((row) => row[key]).filter((value) => value !== null && Number.isFinite(value));
  if (!values.length) return;
  from ??= values.reduce((a, b) => Math.min(a, b));
  to ??= values.reduce((a, b) => Math.max(a, b));
  if (to <= from) to = from + 1;
  const width = (to - from) / bins;
  const bin = (value) => Math.min(bins - 1, Math.max(0, Math.floor((value - from) / width + 1e-9)));
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[bin(value)]++;
  chart(title, key, note, {
    places: counts.map((_, index) => from + (index + 0.5) * width),
    counts,
    bin,
    from,
    to,
    labels: (_, splits) => splits.map(format),
    name: (index) => `${format(from + index * width)} to ${format(from + (index + 1) * width)}`,
  });
}

/// How often each value occurs.
function categories(title, key, format) {
  const found = new Map();
  for (const row of rows) found.set(row[key], (found.get(row[key]) || 0) + 1);
  let kinds = [...found].sort((a, b) => b[1] - a[1]).slice(0, 10);
  if (!kinds.length) return;
  kinds = kinds.sort((a, b) => new Intl.Collator(undefined, { numeric: true }).compare(String(a[0]), String(b[0])));
  const values = kinds.map(([value]) => value);
  // There is only room for this many labels.
  const every = Math.ceil(values.length / 5);
  chart(title, key, found.size > 10 ? `the 10 most frequent of ${found.size}` : "", {
    places: kinds.map((_, index) => index),
    counts: kinds.map(([, count]) => count),
    bin: (value) => values.indexOf(value),
    from: -0.6,
    to: kinds.length - 0.4,
    splits: () => values.map((_, index) => index).filter((index) => index % every === 0),
    labels: (_, splits) => splits.map((index) => format(values[index])),
    name: (index) => format(values[index]),
  });
}

const hundred = (value) => `${Math.round(100 * value)} %`;
const short = (value) => String(Number(value.toPrecision(3)));
const ofFrames = { from: 0, to: 1, format: hundred, note: "share of the frames" };
if (rows.length) {
  histogram("Body seen", "body", ofFrames);
  histogram("Face seen", "face", ofFrames);
  histogram("Left hand seen", "left", ofFrames);
  histogram("Right hand seen", "right", ofFrames);
  histogram("Confidence of the body", "confidence", { from: 0, to: 1, format: short, note: "median of a file" });
  histogram("Jitter of the body", "jitter", { from: 0, format: short, note: "pixels per frame²" });
  histogram("Faults", "faults", { from: 0, format: short, note: "0 is best" });
  histogram("Jumps", "jumps", { from: 0, format: short, note: "frames with a jump" });
  histogram("Length", "seconds", { from: 0, format: (value) => clock(value), note: "of a file" });
  categories("People", "people", String);
  categories("Frame rate", "frame_rate", String);
  categories("Frame size", "size", String);
}

// One file.
let strips = [];
function select(row, scrolls) {
  state.file = row.file;
  keep();
  draw();
  byId("detail").hidden = false;
  byId("detail-name").textContent = row.file;
  byId("detail-numbers").textContent =
    `Version ${Number(row.version.toFixed(3))}, ${row.width}×${row.height} pixels, ${row.frames} frames at ${row.frame_rate} per second` +
    (row.seconds === null ? "" : `, ${duration(row.seconds)}`) +
    `. At most ${row.people} ${row.people === 1 ? "person" : "people"}; somebody in ${percent(row.frames_with_people)} of the frames; ${row.jumps} frames with a jump, ` +
    `${row.swaps} with a swap of rows; faults ${row.faults.toFixed(3)}.`;
  const skeleton = row.skeleton === null ? null : data.skeletons[row.skeleton];
  const heading = ["component", "points", "seen", "confidence 10/50/90 %", "jitter in pixels", "in shoulder widths", "jumps"];
  const table = [element("tr", {}, ...heading.map((text, i) => element("th", i ? { class: "number" } : {}, text)))];
  row.components.forEach(([present, confidence, pixels, shoulders, jumps], index) => {
    const part = skeleton && skeleton.components[index];
    const cells = [
      part ? part.name : `component ${index + 1}`,
      part ? part.points : "–",
      percent(present),
      confidence ? confidence.map((value) => value.toFixed(2)).join("  ") : "–",
      fixed(pixels, 2),
      fixed(shoulders, 4),
      jumps,
    ];
    table.push(element("tr", {}, ...cells.map((cell, i) => element("td", i ? { class: "number" } : {}, element("bdi", {}, String(cell))))));
  });
  byId("detail-components").replaceChildren(...table);
  drawTimelines(row, skeleton);
  drawSheet(row, skeleton);
  // The table stays in sight, and that there is something below it can be seen.
  const hidden = byId("detail").getBoundingClientRect().top - 0.6 * window.innerHeight;
  if (scrolls && hidden > 0) window.scrollBy({ top: hidden });
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Map([...ALPHABET].map((letter, value) => [letter, value / 63]));

function drawTimelines(row, skeleton) {
  for (const strip of strips) strip.destroy();
  strips = [];
  const place = byId("detail-timeline");
  place.replaceChildren();
  if (!row.timelines) {
    place.append("This corpus is too large for the timelines of all files; oppose-native inspect --plot draws one.");
    return;
  }
  const length = row.seconds ?? row.frames;
  row.timelines.forEach((text, index) => {
    const spans = text.length / 2;
    const [times, seen, confidence] = [[], [], []];
    for (let span = 0; span < spans; span++) {
      const present = VALUES.get(text[2 * span]);
      const sure = present > 0 ? VALUES.get(text[2 * span + 1]) : null;
      // From its beginning to its end, so that one alone between gaps is drawn too.
      times.push((span / spans) * length, ((span + 1) / spans) * length);
      seen.push(present, present);
      confidence.push(sure, sure);
    }
    const name = skeleton ? skeleton.components[index].name : `component ${index + 1}`;
    const strip = element("div", { class: "strip" }, element("b", {}, name));
    place.append(strip);
    const isLast = index === row.timelines.length - 1;
    strips.push(
      new uPlot(
        {
          width: Math.max(300, place.clientWidth),
          height: isLast ? 104 : 76,
          padding: [8, 32, null, null],
          legend: { show: false },
          cursor: { y: false, drag: { x: false, y: false }, sync: { key: "file" } },
          scales: { x: { time: false }, y: { range: [0, 1.02] } },
          axes: [
            axis({ show: isLast, values: (_, splits) => splits.map((value) => (row.seconds === null ? value : `${value} s`)), size: 28 }),
            axis({ size: 44, splits: [0, 0.5, 1] }),
          ],
          series: [
            {},
            { fill: style("--band"), width: 0, points: { show: false } },
            { stroke: style("--accent"), width: 2, points: { show: false } },
          ],
        },
        [times, seen, confidence],
        strip,
      ),
    );
  });
}

/// Where pixels of the file go in a picture of this size.
function placement(row, sketch, width, height) {
  let [left, top, right, bottom] = [0, 0, row.width, row.height];
  const [x0, y0, x1, y1] = sketch.area;
  // Normalised coordinates are no pixels: show what there is.
  const isOutside = x1 <= left || y1 <= top || x0 >= right || y0 >= bottom;
  if (isOutside || Math.max(x1 - x0, y1 - y0) < 0.02 * Math.max(right, bottom)) {
    const margin = 0.1 * Math.max(x1 - x0, y1 - y0, 1e-6);
    [left, top, right, bottom] = [x0 - margin, y0 - margin, x1 + margin, y1 + margin];
  }
  const scale = Math.min(width / (right - left), height / (bottom - top));
  const [dx, dy] = [(width - scale * (right - left)) / 2, (height - scale * (bottom - top)) / 2];
  return (x, y) => [dx + scale * (x - left), dy + scale * (y - top)];
}

function drawSketch(context, row, skeleton, cell, width, height) {
  const sketch = row.sketch;
  const bytes = (sketch.decoded ??= bytesOf(sketch.data));
  const largest = sketch.bytes === 2 ? 65535 : 255;
  const value = (index) => (sketch.bytes === 2 ? bytes[2 * index] | (bytes[2 * index + 1] << 8) : bytes[index]);
  const kept = skeleton.components.map((part, index) => (sketch.steps[index] ? Math.ceil(part.points / sketch.steps[index]) : 0));
  const perPerson = kept.reduce((a, b) => a + b, 0);
  const place = placement(row, sketch, width, height);
  const [x0, y0, x1, y1] = sketch.area;
  const line = Math.max(1, Math.sqrt(width * height) / 110);
  context.lineCap = "round";
  for (let person = 0; person < sketch.people; person++) {
    let first = (cell * sketch.people + person) * perPerson;
    skeleton.components.forEach((part, index) => {
      if (!kept[index]) return;
      const points = [];
      for (let point = 0; point < kept[index]; point++) {
        const [qx, qy] = [value(2 * (first + point)), value(2 * (first + point) + 1)];
        if (qx === largest) points.push(null);
        else points.push(place(x0 + ((x1 - x0) * qx) / (largest - 1), y0 + ((y1 - y0) * qy) / (largest - 1)));
      }
      first += kept[index];
      const isDense = part.points > 60;
      const color = (point) => (part.colors.length ? part.colors[point % part.colors.length] : "#00ff00");
      if (sketch.steps[index] === 1) {
        context.lineWidth = isDense ? line / 4 : line / 1.5;
        for (let limb = 0; limb < part.limbs.length; limb += 2) {
          const [a, b] = [points[part.limbs[limb]], points[part.limbs[limb + 1]]];
          if (!a || !b) continue;
          context.strokeStyle = color(part.limbs[limb + 1]);
          context.beginPath();
          context.moveTo(...a);
          context.lineTo(...b);
          context.stroke();
        }
      }
      const radius = isDense ? line / 3 : line / 2;
      points.forEach((point, number) => {
        if (!point) return;
        context.fillStyle = color(number * sketch.steps[index]);
        context.beginPath();
        context.arc(point[0], point[1], radius, 0, 7);
        context.fill();
      });
    });
  }
}

/// Draws a sketch, and puts the frame of the video behind it as soon as that is decoded.
function drawCell(context, row, skeleton, cell, width, height) {
  drawSketch(context, row, skeleton, cell, width, height);
  const picture = row.sketch.pictures && row.sketch.pictures[cell];
  if (!picture) return;
  const image = new Image();
  image.addEventListener("load", () => {
    const place = placement(row, row.sketch, width, height);
    const [[left, top], [right, bottom]] = [place(0, 0), place(row.width, row.height)];
    context.clearRect(0, 0, width, height);
    context.drawImage(image, left, top, right - left, bottom - top);
    drawSketch(context, row, skeleton, cell, width, height);
    context.canvas.dataset.picture = "shown";
  });
  image.src = `data:image/jpeg;base64,${picture}`;
}

function cellSize(row, width) {
  const [x0, y0, x1, y1] = row.sketch.area;
  const ratio = row.width && row.height ? row.height / row.width : (y1 - y0) / (x1 - x0 || 1);
  return [width, Math.round(width * Math.min(1.8, Math.max(0.4, ratio || 1)))];
}

function drawSheet(row, skeleton) {
  const place = byId("detail-sheet");
  place.replaceChildren();
  if (!row.sketch || !skeleton) {
    place.append(row.frames_with_people === 0 ? "Nobody was found in this file." : "Nobody is in the frames that would be shown, or the page has no room for them.");
    return;
  }
  const [width, height] = cellSize(row, 300);
  row.sketch.frames.forEach((frame, cell) => {
    const [picture, context] = canvas(width, height);
    picture.className = "stage";
    drawCell(context, row, skeleton, cell, width, height);
    const at = row.seconds === null ? "" : `, ${((frame / row.frames) * row.seconds).toFixed(2)} s`;
    place.append(element("figure", {}, picture, element("figcaption", {}, `frame ${frame}${at}`)));
  });
}

function drawWorst() {
  const worst = rows.slice(0, 24).filter((row) => row.faults > 0);
  if (!worst.length) byId("worst").append("No file has a fault.");
  for (const row of worst) {
    const button = element("button", { type: "button" });
    if (row.sketch && row.skeleton !== null) {
      const [width, height] = cellSize(row, 170);
      const [picture, context] = canvas(width, Math.min(height, 170));
      picture.className = "stage";
      drawCell(context, row, data.skeletons[row.skeleton], Math.floor(row.sketch.frames.length / 2), width, Math.min(height, 170));
      button.append(picture);
    }
    button.append(element("span", {}, element("bdi", { title: row.file }, row.file)), element("span", { class: "quiet" }, `faults ${row.faults.toFixed(3)}`));
    button.addEventListener("click", () => {
      select(row, false);
      byId("detail").scrollIntoView({ block: "start" });
    });
    byId("worst").append(button);
  }
}

let resizing = 0;
window.addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => {
    for (const [plot, figure] of charts) plot.setSize({ width: Math.max(200, figure.clientWidth - 20), height: 150 });
    for (const plot of strips) plot.setSize({ width: Math.max(300, byId("detail-timeline").clientWidth), height: plot.height });
    draw();
  }, 100);
});

restore();
byId("filter").value = state.name;
byId("preset").value = state.preset;
update();
const chosen = rows.find((row) => row.file === state.file);
if (chosen) select(chosen, false);
drawWorst();
if (data.progress) {
  const seconds = data.progress.every_seconds;
  byId("refresh").textContent = `· loads itself again every ${seconds} s`;
  setTimeout(() => location.reload(), 1000 * seconds);
}
document.documentElement.dataset.ready = String(Math.round(performance.now()));
