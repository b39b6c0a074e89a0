// The viewer of the report. NiiVue draws the scan; masks, maps, outlines, letters and the cross are drawn over it here,
// slice by slice, so that they are as quick without a graphics card.
// Voxels are counted as in the scan: x from the patient's right to the left, y from front to back, z from below upwards.
(() => {
  "use strict";

  const HEADER_OFFSET = 108; // byte at which a NIfTI header says where its voxels begin
  const ORDER = ["not affected", "not evaluable", "affected"]; // outlines: what matters is drawn last
  const SIGNS = { affected: "●", "not affected": "○", "not evaluable": "?" };
  const SIDES = ["right", "left"];
  const ZOOM_STEP = 1.25;
  const MOST_ZOOM = 12;
  const PAGE = 5;

  const root = document.getElementById("viewer");
  const byId = (id) => document.getElementById(id);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const keyOf = (one) => `${one.side}.${one.region}`;
  const wordOf = (affected) => (affected === null ? "not evaluable" : affected ? "affected" : "not affected");

  // ---- The score: the same rules as in infarct.systems.regions, which a test compares -------------------------------

  /** Return the score of an ASPECTS section whose last word on a region is that of `overrides`. */
  function score(aspects, overrides) {
    const last = new Map(overrides.map((one) => [keyOf(one), one.affected]));
    const counted = aspects.regions.map((one) => ({ ...one, affected: last.get(keyOf(one)) ?? one.affected }));
    const affected = {}, unjudged = {}, points = {};
    for (const side of SIDES) {
      const here = counted.filter((one) => one.side === side);
      affected[side] = here.filter((one) => one.affected === true);
      unjudged[side] = here.filter((one) => one.affected === null).length;
      points[side] = unjudged[side] === 0 ? 10 - affected[side].length : null;
    }
    const given = aspects.side_rule === "symptomatic" && SIDES.includes(aspects.side) ? aspects.side : null;
    const lower = !given && aspects.side_rule === "min";
    const side = given ?? (lower ? lowerSide(affected) : strongerSide(affected, aspects.least_evidence_hu));
    const deciding = lower || !SIDES.includes(side) ? SIDES : [side];
    const lowest = Math.min(...deciding.map((one) => 10 - affected[one].length - unjudged[one]));
    const highest = Math.min(...deciding.map((one) => 10 - affected[one].length));
    return {
      score: lowest === highest ? highest : null,
      score_min: lowest,
      score_max: highest,
      side,
      side_rule: given ? "symptomatic" : lower ? "min" : "evidence",
      left_score: points.left,
      right_score: points.right,
    };
  }

  function lowerSide({ left, right }) {
    if (left.length === right.length) return left.length ? "both" : "none";
    return left.length > right.length ? "left" : "right";
  }

  function strongerSide({ left, right }, least) {
    if (!left.length && !right.length) return "none";
    const weigh = (regions) => regions.reduce((sum, one) => sum + evidenceOf(one, least), 0);
    const [l, r] = [weigh(left), weigh(right)];
    return r > l || (r === l && right.length > left.length) ? "right" : "left";
  }

  function evidenceOf(one, least) {
    const known = one.mean_hu !== null && one.contralateral_mean_hu !== null;
    return Math.max(known ? one.contralateral_mean_hu - one.mean_hu : least, least) * one.volume_ml;
  }

  // ---- Arrays ------------------------------------------------------------------------------------------------------

  /** Return a NIfTI file, as it stands in the page, without its compression. */
  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  const voxelsFrom = (file) => new DataView(file).getFloat32(HEADER_OFFSET, true);

  /** Return the value of `values` at a place between voxels, linearly interpolated; `fill` outside. */
  function sampled(values, [nz, ny, nx], x, y, z, fill) {
    if (x < -0.5 || y < -0.5 || z < -0.5 || x > nx - 0.5 || y > ny - 0.5 || z > nz - 0.5) return fill;
    const lower = (at, count) => Math.min(Math.max(Math.floor(at), 0), Math.max(count - 2, 0));
    const part = (at, low, count) => (count < 2 ? 0 : Math.min(Math.max(at - low, 0), 1));
    const [i, j, k] = [lower(x, nx), lower(y, ny), lower(z, nz)];
    const [u, v, w] = [part(x, i, nx), part(y, j, ny), part(z, k, nz)];
    const [right, down, up] = [nx > 1 ? 1 : 0, ny > 1 ? nx : 0, nz > 1 ? nx * ny : 0];
    const at = i + nx * (j + ny * k);
    const row = (from) => values[from] * (1 - u) + values[from + right] * u;
    const plane = (from) => row(from) * (1 - v) + row(from + down) * v;
    return plane(at) * (1 - w) + plane(at + up) * w;
  }

  /** Return the position of a voxel in the patient: millimetres to the left, to the back and up. */
  function positionOf(grid, [x, y, z]) {
    const mm = [x, y, z].map((index, axis) => index * grid.spacing_mm_zyx[2 - axis]);
    return grid.origin_lps_mm.map((start, axis) => start + grid.directions[axis].reduce((sum, one, i) => sum + one * mm[i], 0));
  }

  /** Return the place that `mirror` takes a voxel to, both as x, y, z. */
  const reflected = (mirror, x, y, z) => mirror.map(([a, b, c, d]) => a * x + b * y + c * z + d);

  /** Return the scan mirrored through the midsagittal plane, on its own grid. */
  function mirrored(hu, shape, mirror) {
    const [nz, ny, nx] = shape;
    const out = new Int16Array(hu.length);
    for (let z = 0, at = 0; z < nz; z++)
      for (let y = 0; y < ny; y++)
        for (let x = 0; x < nx; x++, at++) out[at] = Math.round(sampled(hu, shape, ...reflected(mirror, x, y, z), -1000));
    return out;
  }

  /** Return a closed line with each point moved towards its neighbours: it takes the stairs off. */
  function smoothed(line) {
    const at = (index) => line[(index + line.length) % line.length];
    return line.map((_, i) => [0, 1].map((axis) => (at(i - 1)[axis] + 2 * at(i)[axis] + at(i + 1)[axis]) / 4));
  }

  /** Return the outlines of one label on a slice, as closed lines of points at the middles of voxel edges. */
  function outlines(labels, [, ny, nx], z, label) {
    const inside = (x, y) => x >= 0 && y >= 0 && x < nx && y < ny && labels[x + nx * (y + ny * z)] === label;
    const next = new Map();
    const edge = (x0, y0, x1, y1) => {
      const key = x0 + (nx + 1) * y0;
      if (!next.has(key)) next.set(key, []);
      next.get(key).push([x0, y0, x1, y1]);
    };
    for (let y = 0; y < ny; y++)
      for (let x = 0; x < nx; x++) {
        if (!inside(x, y)) continue;
        if (!inside(x, y - 1)) edge(x, y, x + 1, y);
        if (!inside(x + 1, y)) edge(x + 1, y, x + 1, y + 1);
        if (!inside(x, y + 1)) edge(x + 1, y + 1, x, y + 1);
        if (!inside(x - 1, y)) edge(x, y + 1, x, y);
      }
    const lines = [];
    for (const edges of next.values())
      while (edges.length) {
        const line = [];
        for (let [x0, y0, x1, y1] = edges.pop(); ; ) {
          line.push([(x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5]);
          const following = next.get(x1 + (nx + 1) * y1);
          if (!following.length) break;
          [x0, y0, x1, y1] = following.pop();
        }
        lines.push(smoothed(smoothed(line)));
      }
    return lines;
  }

  /** Return the voxel of a label on a slice that lies nearest to the middle of it: where its name stands. */
  function middleOf(labels, [, ny, nx], z, label) {
    const points = [];
    for (let y = 0; y < ny; y++)
      for (let x = 0; x < nx; x++) if (labels[x + nx * (y + ny * z)] === label) points.push([x, y]);
    const mean = [0, 1].map((axis) => points.reduce((sum, one) => sum + one[axis], 0) / points.length);
    const far = ([x, y]) => (x - mean[0]) ** 2 + (y - mean[1]) ** 2;
    return points.reduce((best, one) => (far(one) < far(best) ? one : best));
  }

  /** Return the colours (RGBA) of the values 0 to 255 from points (value, red, green, blue, opacity). */
  function palette(points) {
    const colours = new Uint8ClampedArray(4 * 256);
    for (let value = 0; value < 256; value++) {
      const above = Math.max(points.findIndex((one) => one[0] >= value), 1) % points.length;
      const [low, high] = value > points[points.length - 1][0] ? points.slice(-2) : [points[above - 1], points[above]];
      const part = Math.min((value - low[0]) / (high[0] - low[0]), 1);
      for (let i = 0; i < 4; i++) colours[4 * value + i] = low[i + 1] * (1 - part) + high[i + 1] * part;
    }
    return colours;
  }

  // ---- A screen: one NiiVue canvas with a canvas for marks over it --------------------------------------------------

  class Screen {
    constructor(element, grid) {
      this.element = element;
      this.grid = grid;
      this.marks = element.querySelector(".marks");
      this.nv = new niivue.Niivue({
        backColor: [0, 0, 0, 1],
        crosshairWidth: 0,
        dragAndDropEnabled: false,
        interactive: false,
        isColorbar: false,
        isOrientationTextVisible: false,
        isRadiologicalConvention: true,
        loadingText: "",
        logLevel: "error",
        show3Dcrosshair: false,
        sliceType: 0, // axial
      });
    }

    async attach() {
      await this.nv.attachToCanvas(this.element.querySelector(".gl"), false);
    }

    async add(file, { width, centre }) {
      const limits = [centre - width / 2, centre + width / 2];
      this.nv.addVolume(await niivue.NVImage.new(file, "scan.nii", "gray", 1, null, ...limits));
    }

    /** Return NiiVue's own coordinates of a voxel, by way of its place in the patient. */
    fraction([x, y, z]) {
      const [left, back, up] = positionOf(this.grid, [x, y, z]);
      return this.nv.mm2frac([-left, -back, up], 0, true);
    }

    /** Return how voxels (x, y) of a slice become places on the canvas of marks: [start, step] for each axis. */
    placing(z) {
      const slice = this.nv.screenSlices.find((one) => one.axCorSag === 0);
      if (!slice) return null;
      let [left, top, width, height] = slice.leftTopWidthHeight;
      const isMirrored = width < 0;
      if (isMirrored) [left, width] = [left + width, -width];
      const ratio = this.marks.width / this.nv.canvas.width;
      const place = (x, y) => {
        const mm = this.nv.frac2mm(this.fraction([x, y, z]), 0, false);
        const across = (mm[0] - slice.leftTopMM[0]) / slice.fovMM[0];
        const upwards = (mm[1] - slice.leftTopMM[1]) / slice.fovMM[1];
        return [ratio * (left + (isMirrored ? 1 - across : across) * width), ratio * (top + (1 - upwards) * height)];
      };
      const [origin, other] = [place(0, 0), place(1, 1)];
      return [0, 1].map((axis) => [origin[axis], other[axis] - origin[axis]]);
    }

    show(state) {
      const { offsetWidth, offsetHeight } = this.marks;
      const density = window.devicePixelRatio || 1;
      this.marks.width = Math.round(offsetWidth * density);
      this.marks.height = Math.round(offsetHeight * density);
      this.nv.scene.crosshairPos = this.fraction(state.at);
      this.nv.scene.pan2Dxyzmm = [...state.pan, 0, state.zoom];
      this.nv.drawScene();
    }

    setWindow({ width, centre }) {
      const [scan] = this.nv.volumes;
      [scan.cal_min, scan.cal_max] = [centre - width / 2, centre + width / 2];
      this.nv.updateGLVolume();
    }
  }

  // ---- The viewer --------------------------------------------------------------------------------------------------

  async function start() {
    const data = JSON.parse(byId("viewer-data").textContent);
    const { grid, aspects } = data;
    const shape = grid.shape_zyx;
    const [nz, ny, nx] = shape;
    const scanFile = await unpacked(data.scan);
    const hu = new Int16Array(scanFile, voxelsFrom(scanFile), nz * ny * nx);
    const regionFile = data.regions && (await unpacked(data.regions));
    const labels = regionFile && new Uint8Array(regionFile, voxelsFrom(regionFile), nz * ny * nx);
    const first = data.places[0]?.index_zyx ?? [nz >> 1, ny >> 1, nx >> 1];
    const state = {
      at: [first[2], first[1], first[0]],
      window: 0,
      zoom: 1,
      pan: [0, 0],
      outlines: true,
      chosen: null,
      changes: new Map(),
    };
    byId("viewer-off").hidden = true;
    byId("viewer-on").hidden = false;

    const own = new Screen(byId("screen-own"), grid);
    let other = null;
    await own.attach();
    await own.add(scanFile, data.windows[0]);
    const layers = await Promise.all(
      data.layers.map(async ({ name, colours, data: packed }) => {
        const file = await unpacked(packed);
        const button = root.querySelector(`[data-layer="${name}"]`);
        return { button, values: new Uint8Array(file, voxelsFrom(file), nz * ny * nx), palette: palette(colours) };
      }),
    );
    const page = Object.assign(document.createElement("canvas"), { width: nx, height: ny });

    // ---- what is drawn over the scan

    const drawn = new Map();
    function lineworkOf(z) {
      if (!drawn.has(z)) {
        const present = new Set(labels.subarray(z * nx * ny, (z + 1) * nx * ny));
        const here = aspects.regions.filter((one) => present.has(one.label));
        drawn.set(z, here.map((one) => ({
          region: one,
          lines: outlines(labels, shape, z, one.label),
          middle: middleOf(labels, shape, z, one.label),
        })));
      }
      return drawn.get(z);
    }

    const lastWords = () => new Map([...(aspects?.overrides ?? []), ...state.changes.values()].map((one) => [keyOf(one), one]));
    const findingOf = (one) => wordOf(lastWords().get(keyOf(one))?.affected ?? (one.evaluable ? one.affected : null));

    function mark(screen, withRegions) {
      const context = screen.marks.getContext("2d", { willReadFrequently: true }); // not by the graphics card
      const placing = screen.placing(state.at[2]);
      if (!placing) return;
      const [[left, across], [top, down]] = placing;
      const place = ([x, y]) => [left + across * x, top + down * y];
      const density = screen.marks.width / screen.marks.offsetWidth;
      context.clearRect(0, 0, screen.marks.width, screen.marks.height);
      if (withRegions) {
        context.setTransform(across, 0, 0, down, left, top);
        for (const layer of layers) if (layer.button.ariaPressed === "true") paint(context, layer);
        context.resetTransform();
      }
      if (withRegions && labels && aspects && state.outlines) {
        const linework = lineworkOf(state.at[2]).map((one) => ({ ...one, finding: findingOf(one.region) }));
        linework.sort((a, b) => ORDER.indexOf(a.finding) - ORDER.indexOf(b.finding));
        for (const one of linework) drawRegion(context, one, place, density);
      }
      drawCross(context, place(state.at), density, screen.marks);
      // The letters name the tissue that is seen: mirrored, the patient's left stands where the right is in the scan.
      const [atLeft, atRight] = across > 0 === (screen === own) ? ["R", "L"] : ["L", "R"];
      screen.element.querySelector(".at-left").textContent = atLeft;
      screen.element.querySelector(".at-right").textContent = atRight;
      const { width, centre } = data.windows[state.window];
      screen.element.querySelector(".where").textContent = `${sliceText()}\nW${width} C${centre}`;
    }

    /** Lay the colours of a layer over the slice; one unit is a voxel. */
    function paint(context, { values, palette }) {
      const image = new ImageData(nx, ny);
      const start = state.at[2] * nx * ny;
      for (let at = 0; at < nx * ny; at++) {
        const value = 4 * values[start + at];
        if (palette[value + 3]) for (let i = 0; i < 4; i++) image.data[4 * at + i] = palette[value + i];
      }
      page.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
      context.drawImage(page, -0.5, -0.5);
    }

    function drawRegion(context, { region, lines, middle, finding }, place, density) {
      const style = data.styles[finding];
      const path = new Path2D();
      for (const line of lines) {
        line.map(place).forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
        path.closePath();
      }
      if (state.chosen === keyOf(region)) {
        context.fillStyle = "rgba(255, 255, 255, 0.22)";
        context.fill(path, "evenodd");
      }
      context.strokeStyle = style.colour;
      context.lineWidth = style.width_pt * density;
      context.setLineDash(style.dashes.map((dash) => dash * style.width_pt * density));
      context.stroke(path);
      context.setLineDash([]);
      context.font = `bold ${13 * density}px sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.lineJoin = "round";
      context.lineWidth = 3 * density;
      context.strokeStyle = "#000";
      context.strokeText(region.region, ...place(middle));
      context.fillStyle = style.colour;
      context.fillText(region.region, ...place(middle));
    }

    function drawCross(context, [x, y], density, { width, height }) {
      const gap = 9 * density;
      const path = new Path2D();
      for (const [x0, y0, x1, y1] of [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]]) {
        path.moveTo(x0, y0);
        path.lineTo(x1, y1);
      }
      context.lineWidth = density;
      context.strokeStyle = "rgba(255, 255, 255, 0.55)";
      context.stroke(path);
    }

    // ---- what is told of the place

    const sliceText = () => `${grid.exact ? "slice" : "near slice"} ${grid.slice_numbers[state.at[2]]} of ${grid.slices}`;

    function positionText() {
      const names = ["LR", "PA", "SI"];
      return positionOf(grid, state.at).map((mm, axis) => `${names[axis][mm < 0 ? 1 : 0]}\u00a0${Math.abs(mm).toFixed(0)}`).join(" ");
    }

    function labelAt([x, y, z]) {
      return labels ? labels[x + nx * (y + ny * z)] : 0;
    }

    const hounsfield = (value) => `${String(value).replace("-", "−")}\u00a0HU`;

    function tell() {
      const [x, y, z] = state.at;
      const parts = [sliceText(), `${positionText()} mm`, hounsfield(hu[x + nx * (y + ny * z)])];
      if (grid.mirror) {
        const opposite = sampled(hu, shape, ...reflected(grid.mirror, x, y, z), null);
        if (opposite !== null) parts.push(`mirrored place ${hounsfield(Math.round(opposite))}`);
      }
      const region = aspects?.regions.find((one) => one.label === labelAt(state.at));
      if (region) parts.push(`${region.side} ${region.region}`);
      const text = parts.join(" · ");
      byId("viewer-readout").textContent = text[0].toUpperCase() + text.slice(1);
      const slider = byId("viewer-slice");
      slider.value = z + 1;
      slider.setAttribute("aria-valuetext", sliceText());
    }

    function show() {
      own.show(state);
      mark(own, true);
      if (other && !other.element.hidden) {
        other.show(state);
        mark(other, false);
      }
      tell();
    }

    // ---- moving about

    const within = (value, count) => Math.min(Math.max(Math.round(value), 0), count - 1);

    function goTo(x, y, z) {
      state.at = [within(x, nx), within(y, ny), within(z, nz)];
      show();
    }

    const scroll = (slices) => goTo(state.at[0], state.at[1], state.at[2] + slices);

    /** Zoom about the cross. NiiVue shows the millimetres (all - pan) / zoom. */
    function zoom(factor) {
      const before = state.zoom;
      state.zoom = Math.min(Math.max(before * factor, 1), MOST_ZOOM);
      const cross = own.nv.frac2mm(own.fraction(state.at), 0, false);
      state.pan = state.zoom === 1 ? [0, 0] : state.pan.map((mm, axis) => mm + (before - state.zoom) * cross[axis]);
      show();
    }

    function wholeHead() {
      [state.zoom, state.pan] = [1, [0, 0]];
      show();
    }

    /** Return the voxel (x, y) under a pointer. */
    function under(screen, event) {
      const box = screen.marks.getBoundingClientRect();
      const ratio = screen.marks.width / box.width;
      const [[left, across], [top, down]] = screen.placing(state.at[2]);
      return [((event.clientX - box.left) * ratio - left) / across, ((event.clientY - box.top) * ratio - top) / down];
    }

    function listen(screen) {
      let drag = null;
      screen.element.addEventListener("contextmenu", (event) => event.preventDefault());
      screen.element.addEventListener("pointerdown", (event) => {
        screen.element.setPointerCapture(event.pointerId);
        own.element.focus({ preventScroll: true });
        drag = { moves: event.button !== 0 || event.shiftKey, x: event.clientX, y: event.clientY };
        if (!drag.moves) {
          goTo(...under(screen, event), state.at[2]);
          if (screen === own) choose(aspects?.regions.find((one) => one.label === labelAt(state.at)) ?? null);
        }
        event.preventDefault();
      });
      screen.element.addEventListener("pointermove", (event) => {
        if (!drag) return;
        if (drag.moves) {
          const [[, across], [, down]] = screen.placing(state.at[2]);
          const ratio = screen.marks.width / screen.marks.offsetWidth;
          const moved = [(event.clientX - drag.x) * ratio / across, (event.clientY - drag.y) * ratio / down];
          // Right and back are negative in NIfTI's millimetres, in which NiiVue counts.
          state.pan = state.pan.map((mm, axis) => mm - state.zoom * moved[axis] * grid.spacing_mm_zyx[2 - axis]);
          [drag.x, drag.y] = [event.clientX, event.clientY];
          show();
        } else goTo(...under(screen, event), state.at[2]);
      });
      for (const name of ["pointerup", "pointercancel"]) screen.element.addEventListener(name, () => (drag = null));
      screen.element.addEventListener(
        "wheel",
        (event) => {
          event.preventDefault();
          if (event.ctrlKey) zoom(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP);
          else scroll(event.deltaY < 0 ? 1 : -1);
        },
        { passive: false },
      );
    }

    // ---- what is switched

    function setWindow(index) {
      state.window = index;
      all("[data-window]").forEach((one, at) => (one.ariaPressed = String(at === index)));
      for (const screen of [own, other]) screen?.setWindow(data.windows[index]);
      show();
    }

    function toggleLayer(name) {
      const button = root.querySelector(`[data-layer="${name}"]`);
      button.ariaPressed = String(button.ariaPressed !== "true");
      show();
    }

    function toggleOutlines() {
      state.outlines = !state.outlines;
      root.querySelector("[data-outlines]").ariaPressed = String(state.outlines);
      show();
    }

    async function toggleMirror() {
      const button = root.querySelector("[data-mirror]");
      const isOn = button.ariaPressed !== "true";
      button.ariaPressed = String(isOn);
      byId("screen-mirror").hidden = !isOn;
      if (isOn && !other) {
        const file = scanFile.slice(0);
        new Int16Array(file, voxelsFrom(file), hu.length).set(mirrored(hu, shape, grid.mirror));
        const screen = new Screen(byId("screen-mirror"), grid);
        await screen.attach();
        await screen.add(file, data.windows[state.window]);
        listen(screen);
        other = screen;
      }
      refit();
    }

    function refit() {
      for (const screen of [own, other]) if (screen && !screen.element.hidden) screen.nv.resizeListener();
      show();
    }

    // ---- findings and what a reader says of them

    const shownScore = (one) => (one.score === null ? `${one.score_min} to ${one.score_max}` : `${one.score} of 10`);
    const sideScore = (points) => (points === null ? "not scored" : points);
    const overridesNow = () => {
      const reader = byId("viewer-name").value.trim();
      return [...aspects.overrides, ...[...state.changes.values()].map((one) => ({ ...one, reader }))];
    };

    function choose(region) {
      state.chosen = region && keyOf(region);
      judge();
    }

    function goToRegion(region) {
      if (region.index_zyx && labelAt([state.at[0], state.at[1], state.at[2]]) !== region.label) {
        const [z, y, x] = region.index_zyx;
        goTo(x, y, z);
      }
      choose(region);
    }

    function set(affected) {
      const region = aspects?.regions.find((one) => keyOf(one) === state.chosen);
      if (!region) return;
      if (affected === null) state.changes.delete(state.chosen);
      else {
        const at = new Date().toISOString().replace(/\.\d+Z$/, "Z");
        state.changes.set(state.chosen, { region: region.region, side: region.side, affected, at });
      }
      judge();
    }

    function judge() {
      if (aspects) {
        tellScores();
        tellRegions();
        tellEvidence();
        tellReading();
      }
      show();
    }

    function tellScores() {
      const now = score(aspects, overridesNow());
      byId("score-system").textContent = shownScore(aspects);
      byId("score-reader").textContent = state.changes.size ? shownScore(now) : "–";
      byId("score-reader").classList.toggle("changed", state.changes.size > 0);
      const said = state.changes.size ? now : aspects;
      byId("score-sides").textContent =
        `Right ${sideScore(said.right_score)}, left ${sideScore(said.left_score)}; scored: ${said.side === "none" ? "no side stands out" : said.side}`;
    }

    function tellRegions() {
      const words = lastWords();
      for (const button of all(".finding")) {
        const region = aspects.regions.find((one) => keyOf(one) === button.dataset.region);
        const finding = findingOf(region);
        button.textContent = `${SIGNS[finding]} ${finding}${words.has(keyOf(region)) ? " *" : ""}`;
        button.setAttribute("aria-label", `${region.title}: ${finding}${words.has(keyOf(region)) ? ", set by a reader" : ""}`);
        button.classList.toggle("affected", finding === "affected");
        button.classList.toggle("unknown", finding === "not evaluable");
        button.classList.toggle("chosen", keyOf(region) === state.chosen);
        button.ariaCurrent = String(keyOf(region) === state.chosen);
      }
    }

    const element = (name, text = "", attributes = {}) => {
      const made = document.createElement(name);
      made.textContent = text;
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      return made;
    };

    function tellEvidence() {
      const box = byId("viewer-evidence");
      const region = aspects.regions.find((one) => keyOf(one) === state.chosen);
      if (!region) {
        box.replaceChildren(element("p", "Click in a region or in the list to see what speaks for it.", { class: "muted" }));
        return;
      }
      const list = element("dl");
      for (const [name, value] of region.evidence) list.append(element("dt", name), element("dd", value));
      const buttons = element("div", "", { class: "set", role: "group", "aria-label": "What you say" });
      const change = state.changes.get(state.chosen);
      for (const [title, value, key] of [["Affected", true, "A"], ["Not affected", false, "N"], ["Clear", null, "C"]]) {
        const isSet = value !== null && change?.affected === value;
        const button = element("button", `${title} `, { type: "button", "aria-keyshortcuts": key });
        if (value !== null) button.ariaPressed = String(isSet);
        else button.disabled = !change;
        button.dataset.set = String(value);
        button.append(element("kbd", key));
        button.addEventListener("click", () => {
          set(value);
          box.querySelector(`[data-set="${value}"]`).focus();
        });
        buttons.append(button);
      }
      const system = `The system found: ${region.finding}.`;
      box.replaceChildren(element("h3", region.title), element("span", system), list, buttons);
    }

    function tellReading() {
      const name = byId("viewer-name").value.trim();
      byId("viewer-undo").disabled = state.changes.size === 0;
      byId("viewer-export").disabled = state.changes.size === 0 || name === "";
      byId("viewer-command").hidden = state.changes.size === 0;
      const sets = [...lastWords().values()].map((one) => `--set ${keyOf(one)}=${one.affected ? 1 : 0}`);
      const reader = name === "" ? "NAME" : `'${name.replaceAll("'", "'\\''")}'`;
      byId("viewer-command").querySelector("code").textContent =
        `infarct analyze INPUT -o FOLDER ${sets.join(" ")} --reader ${reader}`;
    }

    /** Return a reader's regions and both scores: what goes into the file, without any word of the patient. */
    function reading() {
      const { score: points, score_min, score_max, side, side_rule, left_score, right_score } = aspects;
      return {
        kind: "infarct reading",
        schema_version: data.schema_version,
        software: data.software,
        intended_use: data.intended_use,
        series_uid_hash: data.series_uid_hash,
        overrides: overridesNow(),
        aspects: score(aspects, overridesNow()),
        system: { score: points, score_min, score_max, side, side_rule, left_score, right_score },
      };
    }

    function save() {
      const file = new Blob([`${JSON.stringify(reading(), null, 2)}\n`], { type: "application/json" });
      const link = element("a", "", { href: URL.createObjectURL(file), download: "reading.json" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }

    // ---- buttons and keys

    const click = (selector, act) => all(selector).forEach((one) => one.addEventListener("click", () => act(one.dataset)));
    const regionOf = (key) => aspects.regions.find((one) => keyOf(one) === key);
    click("[data-window]", (one) => setWindow(Number(one.window)));
    click("[data-layer]", (one) => toggleLayer(one.layer));
    click("[data-outlines]", toggleOutlines);
    click("[data-mirror]", toggleMirror);
    click("[data-zoom]", (one) => zoom(one.zoom === "in" ? ZOOM_STEP : 1 / ZOOM_STEP));
    click("[data-reset]", wholeHead);
    click("[data-region]", (one) => goToRegion(regionOf(one.region)));
    click("[data-place]", (one) => {
      const [z, y, x] = data.places[Number(one.place)].index_zyx;
      goTo(x, y, z);
    });
    byId("viewer-slice").addEventListener("input", (event) => goTo(state.at[0], state.at[1], event.target.value - 1));
    if (aspects) {
      byId("viewer-name").addEventListener("input", tellReading);
      byId("viewer-export").addEventListener("click", save);
      byId("viewer-undo").addEventListener("click", () => {
        state.changes.clear();
        judge();
      });
    }

    const pressed = (selector) => () => root.querySelector(selector)?.click();
    const KEYS = {
      b: pressed('[data-window="0"]'),
      s: pressed('[data-window="1"]'),
      o: pressed("[data-outlines]"),
      m: pressed("[data-mirror]"),
      r: wholeHead,
      a: () => set(true),
      n: () => set(false),
      c: () => set(null),
      "+": () => zoom(ZOOM_STEP),
      "=": () => zoom(ZOOM_STEP),
      "-": () => zoom(1 / ZOOM_STEP),
      ArrowUp: () => scroll(1),
      ArrowDown: () => scroll(-1),
      ArrowRight: () => scroll(1),
      ArrowLeft: () => scroll(-1),
      PageUp: () => scroll(PAGE),
      PageDown: () => scroll(-PAGE),
      Home: () => scroll(-nz),
      End: () => scroll(nz),
    };
    data.layers.forEach((layer, index) => (KEYS[index + 1] = () => toggleLayer(layer.name)));
    root.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "INPUT") return;
      const act = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
      if (!act) return;
      event.preventDefault();
      act();
    });

    listen(own);
    new ResizeObserver(refit).observe(root.querySelector(".screens"));
    judge();
    root.dataset.ready = "yes";
  }

  function canRun() {
    return typeof DecompressionStream === "function" && document.createElement("canvas").getContext("webgl2") !== null;
  }

  // ---- The page: what is folded away opens where a link leads to it -------------------------------------------------

  function unfold(hash) {
    const target = byId(hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  }

  document.addEventListener("click", (event) => unfold(event.target.closest('a[href^="#"]')?.hash ?? ""));
  unfold(location.hash);

  globalThis.infarctViewer = { score };
  if (canRun())
    start().catch((error) => {
      byId("viewer-on").hidden = true;
      byId("viewer-off").hidden = false;
      console.error(error);
    });
})();
