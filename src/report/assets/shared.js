"use strict";

// Okabe and Ito's colours, which people with any kind of colour vision tell apart.
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"];

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/// An element with properties and children; text is only ever text.
function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name === "class") made.className = value;
    else if (name === "on") for (const [event, does] of Object.entries(value)) made.addEventListener(event, does);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const fixed = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));

/// 3725.4 as 1:02:05.
function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (value) => String(value).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/// Seconds for people: 0.4 s, 12 min, 3.2 h.
function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toLocaleString(undefined, { maximumFractionDigits: 1 })} h`;
}

/// An axis of a chart in the colours of the page.
function axis(more) {
  return {
    stroke: style("--quiet"),
    grid: { stroke: style("--line"), width: 1 },
    ticks: { stroke: style("--line"), width: 1, size: 4 },
    font: "12px system-ui, sans-serif",
    ...more,
  };
}

/// A canvas of this many CSS pixels, sharp on any screen.
function canvas(width, height) {
  const dense = window.devicePixelRatio || 1;
  const made = element("canvas", { width: Math.round(width * dense), height: Math.round(height * dense) });
  made.style.width = `${width}px`;
  made.style.height = `${height}px`;
  const context = made.getContext("2d");
  context.scale(dense, dense);
  return [made, context];
}

// Markdown of the explanations: code, and links as their text.
for (const text of document.querySelectorAll("[data-markdown]")) {
  const plain = text.textContent.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");
  const parts = plain.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
  text.replaceChildren(...parts);
}
for (const time of document.querySelectorAll("time[data-unix]")) {
  const date = new Date(1000 * Number(time.dataset.unix));
  if (!Number.isNaN(date.getTime())) {
    time.dateTime = date.toISOString();
    time.textContent = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}
for (const number of document.querySelectorAll("[data-number]")) {
  number.textContent = Number(number.dataset.number).toLocaleString(undefined, { maximumFractionDigits: 1 });
}
for (const seconds of document.querySelectorAll("[data-seconds]")) {
  seconds.textContent = duration(Number(seconds.dataset.seconds));
}
