const video = data.video === null ? null : element("video", { src: data.video, preload: "auto", playsinline: "" });
if (video) video.muted = true;

for (const pose of data.poses) {
  const bytes = bytesOf(pose.data);
  const drawn = pose.skeleton.components.filter((part) => part.drawn);
  pose.perPerson = drawn.reduce((sum, part) => sum + part.points, 0);
  const points = pose.frames * pose.people * pose.perPerson;
  pose.places = new Uint16Array(bytes.buffer, 0, 2 * points);
  pose.confidences = new Uint8Array(bytes.buffer, 4 * points, points);
  pose.drawn = drawn;
  pose.isOn = true;
  delete pose.data;
}
const [first, second] = data.poses;
// What no player can play at is shown at 25.
const fps = first.fps > 0 && Number.isFinite(first.fps) ? first.fps : 25;
const frames = Math.max(1, first.frames);
/// When each frame begins: measured, or by the frame rate. Videos count from their first frame.
const times = data.times
  ? data.times.map((time) => time - data.times[0])
  : Array.from({ length: frames }, (_, index) => index / fps);
const end = (at) => (at + 1 < times.length ? times[at + 1] : times[at] + 1 / fps);
const off = new Set();
let frame = 0;
let plays = false;
let videoWorks = Boolean(video);

// Stages: the first holds the video; a second one is there where two files are side by side.
const [width, height] = [first.width || 640, first.height || 480];
const stages = [];
function addStage(poses, holdsVideo) {
  const picture = element("canvas");
  const stage = element("div", { class: "stage" });
  if (holdsVideo && video) stage.append(video);
  stage.append(picture);
  const label = element("span");
  stage.append(label);
  byId("stages").append(stage);
  stages.push({ stage, picture, poses, label, holdsVideo });
}
function arrange() {
  for (const { stage } of stages.splice(0)) stage.remove();
  const beside = second && byId("layout").value === "beside";
  addStage(beside ? [first] : data.poses, true);
  if (beside) addStage([second], false);
  const most = Math.min(document.body.clientWidth - 48, 1400) / stages.length;
  const scale = Math.min(most / width, (0.62 * window.innerHeight) / height);
  const dense = window.devicePixelRatio || 1;
  for (const stage of stages) {
    stage.stage.style.width = `${Math.round(width * scale)}px`;
    stage.stage.style.height = `${Math.round(height * scale)}px`;
    stage.picture.width = Math.round(width * scale * dense);
    stage.picture.height = Math.round(height * scale * dense);
    stage.label.hidden = !second;
    stage.label.replaceChildren();
    for (const pose of stage.poses) {
      const dot = element("i");
      dot.style.background = tint(pose) || "#ffffff";
      stage.label.append(dot, element("bdi", {}, pose.name), " ");
    }
  }
  draw();
}

/// Files that lie over each other have a colour each.
const tint = (pose) => (second && byId("layout").value === "over" ? (pose === first ? PALETTE[4] : PALETTE[1]) : null);

function drawPose(context, pose, at, scale) {
  if (!pose.isOn || at < 0 || at >= pose.frames) return;
  const [x0, y0, x1, y1] = pose.area;
  const [sx, sy] = [(x1 - x0) / 65535, (y1 - y0) / 65535];
  const usesConfidence = byId("confidence").checked;
  const byPeople = byId("colors").value === "people";
  const base = Math.max(1.2, Math.sqrt(width * height) * scale * 0.005);
  context.lineCap = "round";
  for (let person = 0; person < pose.people; person++) {
    let start = (at * pose.people + person) * pose.perPerson;
    for (const part of pose.drawn) {
      const from = start;
      start += part.points;
      if (off.has(part.name)) continue;
      const line = part.points > 100 ? base * 0.25 : part.points > 30 ? base * 0.5 : base;
      const place = (point) => [
        (x0 + sx * pose.places[2 * (from + point)]) * scale,
        (y0 + sy * pose.places[2 * (from + point) + 1]) * scale,
      ];
      const color = (point) => {
        if (byPeople) return PALETTE[(person + 1) % PALETTE.length];
        return tint(pose) || (part.colors.length ? part.colors[point % part.colors.length] : "#00ff00");
      };
      context.lineWidth = line;
      for (let limb = 0; limb < part.limbs.length; limb += 2) {
        const [a, b] = [part.limbs[limb], part.limbs[limb + 1]];
        if (a >= part.points || b >= part.points) continue;
        const sure = Math.min(pose.confidences[from + a], pose.confidences[from + b]);
        if (!sure) continue;
        context.globalAlpha = usesConfidence ? sure / 255 : 1;
        context.strokeStyle = color(b);
        context.beginPath();
        context.moveTo(...place(a));
        context.lineTo(...place(b));
        context.stroke();
      }
      for (let point = 0; point < part.points; point++) {
        const sure = pose.confidences[from + point];
        if (!sure) continue;
        context.globalAlpha = usesConfidence ? sure / 255 : 1;
        context.fillStyle = color(point);
        const [x, y] = place(point);
        context.beginPath();
        context.arc(x, y, line * 0.9, 0, 7);
        context.fill();
      }
    }
  }
  context.globalAlpha = 1;
}

function draw() {
  for (const { picture, poses, holdsVideo } of stages) {
    const context = picture.getContext("2d");
    context.clearRect(0, 0, picture.width, picture.height);
    const shows = videoWorks && byId("video-on").checked;
    if (!holdsVideo && shows && video.readyState >= 2) context.drawImage(video, 0, 0, picture.width, picture.height);
    for (const pose of poses) drawPose(context, pose, frame + (pose === second ? data.offset : 0), picture.width / width);
  }
  if (video) video.style.visibility = videoWorks && byId("video-on").checked ? "visible" : "hidden";
  byId("seek").value = frame;
  byId("position").textContent = `frame ${frame} of ${first.frames}, ${times[frame].toFixed(3)} s`;
  document.documentElement.dataset.frame = frame;
  for (const mark of marks) mark();
}

/// Goes to a frame; the video follows.
function go(to, moves = true) {
  frame = Math.min(frames - 1, Math.max(0, to));
  // The middle of the frame's time, so that rounding does not lead to its neighbour.
  if (moves && videoWorks) video.currentTime = (times[frame] + end(frame)) / 2;
  draw();
}

function play(does) {
  plays = does;
  byId("play").textContent = plays ? "Pause" : "Play";
  if (plays && frame >= frames - 1) go(0);
  if (videoWorks) {
    video.playbackRate = Number(byId("speed").value);
    if (plays) video.play().catch(() => fallBack());
    else {
      video.pause();
      go(frame);
    }
  }
  if (plays && !videoWorks) tick(performance.now(), frame);
}

/// Without a video, time comes from the screen.
function tick(since, from) {
  requestAnimationFrame((now) => {
    if (!plays || videoWorks) return;
    const to = inTime(times[from] + ((now - since) / 1000) * Number(byId("speed").value));
    if (to >= frames - 1) {
      go(frames - 1);
      play(false);
      return;
    }
    if (to !== frame) go(to);
    tick(since, from);
  });
}

/// The frame that is shown at this time: the last that has begun.
function inTime(seconds) {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (times[middle] <= seconds + 1e-4) low = middle;
    else high = middle - 1;
  }
  return low;
}

/// The frame that begins nearest to this time.
function nearest(seconds) {
  const before = inTime(seconds);
  return before + 1 < times.length && times[before + 1] - seconds < seconds - times[before] ? before + 1 : before;
}

function fallBack() {
  if (!videoWorks) return;
  videoWorks = false;
  byId("message").hidden = false;
  byId("message").textContent =
    `The video cannot be played by this browser, or is not at ${data.video} beside this page. ` +
    "The poses are shown alone. To convert it: ffmpeg -i VIDEO -c:v libx264 -pix_fmt yuv420p PLAYABLE.mp4";
  if (plays) tick(performance.now(), frame);
  draw();
}

if (video) {
  video.addEventListener("error", fallBack);
  video.addEventListener("ended", () => {
    play(false);
    go(frames - 1, false);
  });
  video.addEventListener("loadeddata", () => go(frame));
  video.addEventListener("seeked", draw);
  if (video.requestVideoFrameCallback) {
    const shown = (_, { mediaTime }) => {
      // The time at which the frame begins, rounded.
      if (plays) go(nearest(mediaTime), false);
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  } else {
    video.addEventListener("timeupdate", () => plays && go(inTime(video.currentTime), false));
  }
}

// Curves.
const marks = [];
const plots = [];
function curve(id, names, values, unit) {
  const place = byId(id);
  if (!place) return;
  const [text, line] = [style("--quiet"), style("--ink")];
  const plot = new uPlot(
    {
      width: Math.max(300, place.clientWidth),
      height: 170,
      cursor: { y: false, drag: { x: true, y: false, setScale: true }, dataIdx: (_, __, index) => index },
      scales: { x: { time: false }, y: unit ? { range: (_, __, most) => [0, most > 0 ? most * 1.05 : 1] } : { range: [0, 1.02] } },
      axes: [axis({ values: (_, splits) => splits.map((value) => `${value} s`), size: 28 }), axis({ size: 54 })],
      series: [
        { label: "time", value: (_, value) => (value === null || value === undefined ? "" : `${value.toFixed(3)} s`) },
        ...names.map((label, index) => ({
          label,
          stroke: PALETTE[index % PALETTE.length],
          width: 1.75,
          dash: index >= PALETTE.length ? [6, 4] : undefined,
          points: { show: false },
          value: (_, value) => (value === null || value === undefined ? "–" : value.toFixed(2) + unit),
        })),
      ],
      hooks: {
        draw: [
          (u) => {
            const x = Math.round(u.valToPos(times[frame], "x", true));
            if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) return;
            u.ctx.save();
            u.ctx.strokeStyle = line;
            u.ctx.fillStyle = text;
            u.ctx.lineWidth = 2;
            u.ctx.beginPath();
            u.ctx.moveTo(x, u.bbox.top);
            u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
            u.ctx.stroke();
            u.ctx.restore();
          },
        ],
      },
    },
    [times, ...values],
    place,
  );
  let pressed = 0;
  plot.over.addEventListener("mousedown", (event) => (pressed = event.clientX));
  plot.over.addEventListener("mouseup", (event) => {
    // Dragging enlarges.
    if (Math.abs(event.clientX - pressed) < 4) go(nearest(plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x")));
  });
  let drawn = -1;
  marks.push(() => {
    if (drawn === frame) return;
    drawn = frame;
    plot.redraw(false);
  });
  plots.push([plot, place]);
}

function confidences(pose) {
  let before = 0;
  return pose.drawn.map((part) => {
    const values = [];
    for (let at = 0; at < pose.frames; at++) {
      let [sum, count] = [0, 0];
      for (let person = 0; person < pose.people; person++) {
        const from = (at * pose.people + person) * pose.perPerson + before;
        for (let point = from; point < from + part.points; point++) {
          if (pose.confidences[point]) {
            sum += pose.confidences[point];
            count++;
          }
        }
      }
      values.push(count ? sum / count / 255 : null);
    }
    before += part.points;
    return values.length ? values : [null];
  });
}

// Controls.
const names = [...new Set(data.poses.flatMap((pose) => pose.drawn.map((part) => part.name)))];
const boxes = names.map((name) => {
  const box = element("input", { type: "checkbox", checked: "" });
  box.addEventListener("change", () => {
    if (box.checked) off.delete(name);
    else off.add(name);
    draw();
  });
  byId("components").append(element("label", {}, box, " ", element("bdi", {}, name)));
  return box;
});
for (const pose of data.poses) {
  const box = element("input", { type: "checkbox", checked: "" });
  box.addEventListener("change", () => {
    pose.isOn = box.checked;
    draw();
  });
  byId("files").append(element("label", {}, box, " ", element("bdi", {}, `${pose.name} (${pose.frames} frames, at most ${pose.people} ${pose.people === 1 ? "person" : "people"})`)));
}
if (second && data.offset) byId("files").append(element("span", { class: "quiet" }, `the second file is ${data.offset} frames late`));
byId("seek").max = frames - 1;
byId("seek").addEventListener("input", (event) => go(Number(event.target.value)));
byId("play").addEventListener("click", () => play(!plays));
const step = (by) => {
  if (plays) play(false);
  go(frame + by);
};
byId("back").addEventListener("click", () => step(-1));
byId("forward").addEventListener("click", () => step(1));
byId("speed").addEventListener("change", () => plays && play(true));
for (const id of ["video-on", "confidence", "colors"]) byId(id).addEventListener("change", draw);
if (second) byId("layout").addEventListener("change", arrange);
byId("video-on").closest("label").hidden = !video;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input[type=range]")) return;
  const second = Math.round(fps);
  const does = {
    " ": () => play(!plays),
    ArrowLeft: () => step(event.shiftKey ? -second : -1),
    ArrowRight: () => step(event.shiftKey ? second : 1),
    Home: () => step(-frames),
    End: () => step(frames),
  }[event.key];
  const box = /^[1-9]$/.test(event.key) && boxes[Number(event.key) - 1];
  if (!does && !box) return;
  event.preventDefault();
  if (does) does();
  else box.click();
});
window.addEventListener("resize", () => {
  arrange();
  for (const [plot, place] of plots) plot.setSize({ width: Math.max(300, place.clientWidth), height: plot.height });
});

if (data.distance) curve("distance", ["distance"], [data.distance.length ? data.distance : [null]], " px");
curve("curve", first.drawn.map((part) => part.name), confidences(first), "");
arrange();
go(0);
document.documentElement.dataset.ready = "1";
