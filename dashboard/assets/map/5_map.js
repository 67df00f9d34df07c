// One or two maps of the same items. What is selected in one is selected in the other; Python hears of it when it is
// done: `selection` is a set of bits in base64, `point` an item like "queries:12".

const MAPS = new WeakMap();

class Maps {
  constructor(root) {
    this.root = root;
    this.frame = root.querySelector(".maps");
    this.legend = root.querySelector(".legend");
    this.status = root.querySelector(".status");
    this.bar = root.querySelector(".bar");
    this.looking = new Looking(root.querySelector(".card"), "");
    this.tool = "move";
    this.sides = [];
    this.hidden = [];
    this.bar.addEventListener("click", (event) => this.pressed(event.target.closest("button")));
    this.resized = new ResizeObserver(() => this.measure());
    this.resized.observe(this.frame);
    this.themed = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => this.draw(false);
    this.themed.addEventListener("change", this.repaint);
  }

  // Take what Python sent. Views stay where they are as long as the points do.
  update(component) {
    const { data } = component;
    this.tell = component.setTriggerValue;
    this.data = data;
    this.looking.address = data.items;
    this.rows = data.rows ? new Uint32Array(bytes(data.rows).buffer) : null;
    this.colours = data.kinds.map((kind) => rgb(kind.colour));
    this.hidden = data.kinds.map((kind, k) => this.kinds === data.by && Boolean(this.hidden[k]));
    this.kinds = data.by;
    const arrived = data.selection ? bytes(data.selection) : null;
    this.selection = arrived && arrived.length === Math.ceil(data.n / 8) ? arrived : null;
    if (this.drawn !== data.maps.map((map) => map.id).join()) {
      this.drawn = data.maps.map((map) => map.id).join();
      this.sides = data.maps.map((map) => this.side(map));
      this.frame.replaceChildren(...this.sides.map((side) => side.figure));
    }
    data.maps.forEach((map, at) => {
      const side = this.sides[at];
      side.codes = bytes(map.codes);
      side.caption.textContent = map.title;
      side.note.textContent = map.note;
      side.overlay.setAttribute("aria-label", `${map.title}. ${map.note}. ${data.keys}`);
    });
    this.showLegend();
    this.tools();
    this.measure();
  }

  side(map) {
    const xy = new Uint16Array(bytes(map.xy).buffer);
    const make = (name, kind) => Object.assign(document.createElement(name), { className: kind });
    const side = { figure: make("figure", "side"), caption: make("figcaption", ""), note: make("p", "note") };
    const canvas = make("canvas", "points");
    canvas.setAttribute("aria-hidden", "true");
    side.overlay = make("canvas", "overlay");
    side.overlay.tabIndex = 0;
    side.overlay.setAttribute("role", "img");
    side.box = make("div", "view");
    side.box.append(canvas, side.overlay);
    side.figure.append(side.caption, side.box, side.note);
    side.view = new View(xy);
    side.painter = new Painter(canvas, side.view);
    side.gestures = new Gestures(side.overlay, side.view, {
      tool: () => this.tool,
      isShown: (i) => !this.hidden[side.codes[i]],
      moved: (moving) => this.ask(side, moving),
      chosen: (i) => this.tell("point", this.name(i)),
      cleared: () => this.select(null),
      outlined: (polygon, keep) => this.outlined(side, side.view.inside(polygon), keep),
      looked: (i, px, py) => this.look(side, i, px, py),
    });
    return side;
  }

  name(i) {
    const isQuery = i < this.data.queries;
    const row = this.rows ? this.rows[i] : isQuery ? i : i - this.data.queries;
    return `${isQuery ? "queries" : "candidates"}:${row}`;
  }

  look(side, i, px, py) {
    side.overlay.style.cursor = i >= 0 ? "pointer" : this.tool === "move" ? "grab" : "crosshair";
    const own = side.overlay.getBoundingClientRect();
    const all = this.root.getBoundingClientRect();
    this.looking.at(i < 0 ? "" : this.name(i), own.left - all.left + px, own.top - all.top + py, all.width);
  }

  outlined(side, found, keep) {
    for (let i = 0; i < this.data.n; i++) if (this.hidden[side.codes[i]]) found[i >> 3] &= ~(1 << (i & 7));
    if (keep && this.selection) for (let at = 0; at < found.length; at++) found[at] |= this.selection[at];
    this.select(found);
  }

  // Every point of one kind; also for the keyboard.
  selectKind(kind) {
    const found = new Uint8Array(Math.ceil(this.data.n / 8));
    const { codes } = this.sides[this.sides.length - 1];
    for (let i = 0; i < this.data.n; i++) if (codes[i] === kind) found[i >> 3] |= 1 << (i & 7);
    this.select(found);
  }

  select(found) {
    this.selection = found && found.some(Boolean) ? found : null;
    this.tools();
    this.draw(false);
    this.tell("selection", this.selection ? base64(this.selection) : "");
  }

  pressed(button) {
    if (!button) return;
    const { tool, act } = button.dataset;
    if (tool) this.tool = tool;
    if (act === "clear") this.select(null);
    for (const { view } of this.sides) {
      if (act === "in") view.zoomAt(1.5);
      if (act === "out") view.zoomAt(1 / 1.5);
      if (act === "whole") view.whole();
    }
    this.tools();
    this.draw(false);
  }

  tools() {
    for (const button of this.bar.querySelectorAll("[data-tool]"))
      button.setAttribute("aria-pressed", String(button.dataset.tool === this.tool));
    let count = 0;
    for (const byte of this.selection || []) for (let bits = byte; bits; bits &= bits - 1) count++;
    this.bar.querySelector("[data-act=clear]").disabled = !count;
    this.status.textContent = count ? `${count.toLocaleString("en")} of ${this.data.n.toLocaleString("en")} selected` : "";
    for (const side of this.sides) side.overlay.style.cursor = this.tool === "move" ? "grab" : "crosshair";
  }

  showLegend() {
    const entries = this.data.kinds.map((kind, k) => {
      const button = document.createElement("button");
      const dot = Object.assign(document.createElement("span"), { className: "dot" });
      dot.style.background = kind.colour;
      button.append(dot, kind.name);
      button.title = `Select all of “${kind.name}”`;
      button.addEventListener("click", () => this.selectKind(k));
      return button;
    });
    const title = Object.assign(document.createElement("span"), { className: "title", textContent: this.data.title });
    if (!this.data.scale) {
      this.legend.replaceChildren(title, ...entries);
      return;
    }
    const ramp = Object.assign(document.createElement("span"), { className: "ramp" });
    const steps = this.data.kinds.slice(this.data.scale.first).map((kind) => kind.colour);
    ramp.style.background = `linear-gradient(90deg, ${steps.join(", ")})`;
    const end = (text) => Object.assign(document.createElement("span"), { textContent: text });
    const named = entries.slice(0, this.data.scale.first);
    this.legend.replaceChildren(title, end(this.data.scale.low), ramp, end(this.data.scale.high), ...named);
  }

  measure() {
    for (const side of this.sides) {
      side.view.width = side.box.clientWidth || 1;
      side.view.height = side.box.clientHeight || 1;
    }
    this.draw(false);
  }

  draw(moving) {
    for (const side of this.sides) this.ask(side, moving);
  }

  // At most one picture a frame.
  ask(side, moving) {
    side.moving = moving;
    side.frame ||= requestAnimationFrame(() => {
      side.frame = 0;
      this.paint(side);
    });
  }

  paint(side) {
    if (!side.overlay.isConnected) return;
    const style = getComputedStyle(side.overlay);
    const background = readColour(style.getPropertyValue("--st-background-color"), "#ffffff");
    const { view, gestures } = side;
    const { hidden, colours, selection: selected } = this;
    const outline = gestures.outline;
    const state = [view.x, view.y, view.zoom, view.width, view.height, background, side.moving].join();
    // A lasso that grows leaves the points as they are.
    if (!outline.length || state !== side.state)
      side.painter.paint({ codes: side.codes, colours, hidden, selected, background, moving: side.moving });
    side.state = state;
    this.paintOver(side, outline, readColour(style.getPropertyValue("--st-text-color"), "#222222"));
  }

  // The lasso, and rings around the chosen item and what matches it.
  paintOver({ overlay, view }, outline, ink) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    overlay.width = Math.round(view.width * ratio);
    overlay.height = Math.round(view.height * ratio);
    const pen = overlay.getContext("2d");
    pen.scale(ratio, ratio);
    pen.strokeStyle = `rgb(${ink})`;
    pen.fillStyle = `rgba(${ink}, 0.08)`;
    if (outline.length) {
      pen.beginPath();
      outline.forEach(([x, y], at) => (at ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.fill();
      pen.lineWidth = 1.5;
      pen.stroke();
    }
    this.data.rings.forEach((i, at) => {
      const [x, y] = view.toScreen(i);
      for (const [width, colour] of [[5, pen.fillStyle], [2.5, this.data.ring]]) {
        pen.beginPath();
        pen.arc(x, y, at ? 7 : 10, 0, 2 * Math.PI);
        pen.lineWidth = width;
        pen.strokeStyle = colour;
        pen.stroke();
      }
    });
  }

  stop() {
    this.resized.disconnect();
    this.themed.removeEventListener("change", this.repaint);
  }
}

function bytes(text) {
  const read = atob(text);
  const made = new Uint8Array(read.length);
  for (let at = 0; at < read.length; at++) made[at] = read.charCodeAt(at);
  return made;
}

function base64(some) {
  let text = "";
  for (let at = 0; at < some.length; at += 4096) text += String.fromCharCode(...some.subarray(at, at + 4096));
  return btoa(text);
}

export default function (component) {
  const root = component.parentElement.querySelector(".lens-map");
  if (!MAPS.has(root)) MAPS.set(root, new Maps(root));
  MAPS.get(root).update(component);
  return () => {
    MAPS.get(root)?.stop();
    MAPS.delete(root);
  };
}
