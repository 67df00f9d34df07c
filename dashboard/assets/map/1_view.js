// What is seen of a map: which data point lies where on the screen, and which item lies under the pointer.
// Coordinates are whole numbers 0 to 65,535, as the server sends them; the screen counts in CSS pixels.

const SPAN = 65535;
const CELLS = 256;

class View {
  constructor(xy) {
    this.xy = xy;
    this.n = xy.length / 2;
    this.width = this.height = 1;
    this.x = this.y = SPAN / 2; // the middle of the screen
    this.zoom = 1;
    this.sortIntoCells();
  }

  // CSS pixels per unit of data.
  get scale() {
    return (this.zoom * 0.94 * Math.min(this.width, this.height)) / SPAN;
  }

  toScreen(i) {
    const scale = this.scale;
    return [
      (this.xy[2 * i] - this.x) * scale + this.width / 2,
      (this.y - this.xy[2 * i + 1]) * scale + this.height / 2,
    ];
  }

  toData(px, py) {
    const scale = this.scale;
    return [(px - this.width / 2) / scale + this.x, this.y - (py - this.height / 2) / scale];
  }

  moveBy(dx, dy) {
    const scale = this.scale;
    this.x = Math.min(SPAN, Math.max(0, this.x - dx / scale));
    this.y = Math.min(SPAN, Math.max(0, this.y + dy / scale));
  }

  // Zoom so that what lies under (px, py) stays there.
  zoomAt(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.toData(px, py);
    this.zoom = Math.min(200, Math.max(0.5, this.zoom * factor));
    const [newX, newY] = this.toData(px, py);
    this.x += x - newX;
    this.y += y - newY;
  }

  whole() {
    this.x = this.y = SPAN / 2;
    this.zoom = 1;
  }

  // Points by cell of a grid: `order` lists them cell by cell, `starts` says where each cell begins.
  sortIntoCells() {
    const { xy, n } = this;
    const cell = new Uint32Array(n);
    this.starts = new Uint32Array(CELLS * CELLS + 1);
    for (let i = 0; i < n; i++) {
      cell[i] = (xy[2 * i] >> 8) + CELLS * (xy[2 * i + 1] >> 8);
      this.starts[cell[i] + 1]++;
    }
    for (let c = 0; c < CELLS * CELLS; c++) this.starts[c + 1] += this.starts[c];
    const next = this.starts.slice(0, -1);
    this.order = new Uint32Array(n);
    for (let i = 0; i < n; i++) this.order[next[cell[i]]++] = i;
  }

  // Calls `each(i)` for the points of all cells that touch a rectangle of data.
  within(left, bottom, right, top, each) {
    const cut = (v) => Math.min(CELLS - 1, Math.max(0, Math.floor(v / 256)));
    for (let row = cut(bottom); row <= cut(top); row++) {
      const first = this.starts[cut(left) + CELLS * row];
      const last = this.starts[cut(right) + CELLS * row + 1];
      for (let at = first; at < last; at++) each(this.order[at]);
    }
  }

  // The point nearest to the pointer, at most `reach` pixels away; -1 where there is none. The shown ones only.
  nearest(px, py, reach, isShown) {
    const [x, y] = this.toData(px, py);
    const far = reach / this.scale;
    let best = -1;
    let least = far * far;
    this.within(x - far, y - far, x + far, y + far, (i) => {
      const dx = this.xy[2 * i] - x;
      const dy = this.xy[2 * i + 1] - y;
      if (dx * dx + dy * dy <= least && isShown(i)) {
        least = dx * dx + dy * dy;
        best = i;
      }
    });
    return best;
  }

  // Points inside a polygon on the screen, as a set of bits.
  inside(polygon) {
    const corners = polygon.map(([px, py]) => this.toData(px, py));
    const xs = corners.map((c) => c[0]);
    const ys = corners.map((c) => c[1]);
    const found = new Uint8Array(Math.ceil(this.n / 8));
    this.within(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), (i) => {
      if (isInside(this.xy[2 * i], this.xy[2 * i + 1], xs, ys)) found[i >> 3] |= 1 << (i & 7);
    });
    return found;
  }
}

// Whether a ray from the point crosses the polygon an odd number of times.
function isInside(x, y, xs, ys) {
  let odd = false;
  for (let a = 0, b = xs.length - 1; a < xs.length; b = a++) {
    if (ys[a] > y !== ys[b] > y && x < ((xs[b] - xs[a]) * (y - ys[a])) / (ys[b] - ys[a]) + xs[a]) odd = !odd;
  }
  return odd;
}
