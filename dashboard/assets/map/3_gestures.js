// What the pointer and the keys do on one map: move, zoom, draw a lasso or a box, click a point, look at one.

const CLICK = 4; // pixels up to which a press is a click
const REACH = 10; // pixels within which a point counts as meant

class Gestures {
  // `on`: moved(moving), chosen(i), outlined(polygon, keep), looked(i, px, py), and tool() and isShown(i).
  constructor(overlay, view, on) {
    Object.assign(this, { overlay, view, on, outline: [], press: null });
    overlay.addEventListener("pointerdown", (event) => this.down(event));
    overlay.addEventListener("pointermove", (event) => this.move(event));
    overlay.addEventListener("pointerup", (event) => this.up(event));
    overlay.addEventListener("pointercancel", () => this.stop());
    overlay.addEventListener("pointerleave", () => this.on.looked(-1, 0, 0));
    overlay.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    overlay.addEventListener("dblclick", () => {
      this.view.whole();
      this.on.moved(false);
    });
    overlay.addEventListener("keydown", (event) => this.key(event));
  }

  place(event) {
    const box = this.overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    if (event.button !== 0) return;
    const [px, py] = this.place(event);
    const tool = event.shiftKey ? "lasso" : this.on.tool();
    this.press = { tool, from: [px, py], last: [px, py], far: false, keep: event.ctrlKey || event.metaKey };
    this.outline = [];
    this.overlay.setPointerCapture(event.pointerId);
    this.on.looked(-1, 0, 0);
  }

  move(event) {
    const [px, py] = this.place(event);
    const press = this.press;
    if (!press) {
      this.on.looked(this.view.nearest(px, py, REACH, this.on.isShown), px, py);
      return;
    }
    press.far ||= Math.hypot(px - press.from[0], py - press.from[1]) > CLICK;
    if (!press.far) return;
    if (press.tool === "move") {
      this.view.moveBy(px - press.last[0], py - press.last[1]);
    } else if (press.tool === "box") {
      const [x, y] = press.from;
      this.outline = [[x, y], [px, y], [px, py], [x, py]];
    } else {
      this.outline.push([px, py]);
    }
    press.last = [px, py];
    this.on.moved(press.tool === "move");
  }

  up(event) {
    const press = this.press;
    if (!press) return;
    const [px, py] = this.place(event);
    const outline = this.outline;
    this.stop();
    if (!press.far) {
      const point = this.view.nearest(px, py, REACH, this.on.isShown);
      if (point >= 0) this.on.chosen(point);
    } else if (press.tool !== "move" && outline.length > 2) {
      this.on.outlined(outline, press.keep);
    }
  }

  stop() {
    this.press = null;
    this.outline = [];
    this.on.moved(false);
  }

  // The wheel scrolls the page, unless the map has the focus or Ctrl is held.
  wheel(event) {
    if (!event.ctrlKey && this.overlay.getRootNode().activeElement !== this.overlay) return;
    event.preventDefault();
    this.view.zoomAt(Math.exp(-event.deltaY / 400), ...this.place(event));
    this.on.moved(true);
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.on.moved(false), 150);
  }

  key(event) {
    const step = 40;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) this.view.moveBy(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.view.zoomAt(1.4);
    else if (event.key === "-") this.view.zoomAt(1 / 1.4);
    else if (event.key === "0") this.view.whole();
    else if (event.key === "Escape") this.on.cleared();
    else return;
    event.preventDefault();
    this.on.moved(false);
  }
}
