// Slices with window and labels: one canvas a stack.

function startSlices() {
  const centre = document.getElementById("centre");
  const width = document.getElementById("width");
  const tint = document.getElementById("tint");
  const presets = [...document.querySelectorAll("#slices button")];
  const views = [];

  function greys() {
    const low = +centre.value - +width.value / 2;
    return page.hu.map((hu) => Math.max(0, Math.min(255, ((hu - low) / +width.value) * 255)));
  }

  function drawAll() {
    centre.parentElement.querySelector("output").textContent = `${centre.value} HU`;
    width.parentElement.querySelector("output").textContent = `${width.value} HU`;
    tint.parentElement.querySelector("output").textContent = `${tint.value} %`;
    for (const button of presets) {
      const same = button.dataset.centre === centre.value && button.dataset.width === width.value;
      button.setAttribute("aria-pressed", String(same));
    }
    const table = greys();
    for (const view of views) view(table);
  }

  for (const button of presets) {
    button.addEventListener("click", () => {
      centre.value = button.dataset.centre;
      width.value = button.dataset.width;
      drawAll();
    });
  }
  for (const input of [centre, width, tint]) input.addEventListener("input", drawAll);
  for (const figure of document.querySelectorAll("[data-stack]")) {
    startStack(figure, page.stacks[figure.dataset.stack], tint, greys).then((draw) => {
      views.push(draw);
      draw(greys());
    });
  }
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 100);
  });
}

async function startStack(figure, stack, tint, greys) {
  const [, rows, columns] = stack.shape;
  const codes = await unpackPlanes(stack.codes, columns);
  const labels = await unpackPlanes(stack.labels, columns);
  const canvas = figure.querySelector("canvas");
  const slider = figure.querySelector("input");
  const caption = figure.querySelector("figcaption");
  const small = document.createElement("canvas");
  small.width = columns;
  small.height = rows;
  const image = small.getContext("2d").createImageData(columns, rows);

  // The picture of a plane; returns the middle, the left and the right end of each label in it.
  function paint(table) {
    const start = +slider.value * rows * columns;
    const share = +tint.value / 100;
    const seen = new Map();
    for (let i = 0; i < rows * columns; i++) {
      const label = labels[start + i];
      const grey = table[codes[start + i]];
      const rgb = label ? page.levels[label].rgb : null;
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = rgb ? (1 - share) * grey + share * rgb[c] : grey;
      image.data[4 * i + 3] = 255;
      if (!label) continue;
      const x = i % columns;
      const own = seen.get(label) || { count: 0, x: 0, y: 0, left: columns, right: 0 };
      own.count += 1;
      own.x += x;
      own.y += (i - x) / columns;
      own.left = Math.min(own.left, x);
      own.right = Math.max(own.right, x);
      seen.set(label, own);
    }
    small.getContext("2d").putImageData(image, 0, 0);
    return seen;
  }

  function writeNames(pen, seen, across, down) {
    pen.font = "600 14px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.lineWidth = 3;
    pen.strokeStyle = "#000";
    const axial = figure.dataset.stack === "axial";
    let line = 0;
    for (const [label, own] of seen) {
      if (own.count < 12) continue;
      const level = page.levels[label];
      pen.fillStyle = `rgb(${level.rgb.map((v) => Math.round(90 + 0.65 * v))})`;
      let x = 8, y = 16 + 18 * line++;
      if (!axial) {
        y = (own.y / own.count) * down;
        pen.textAlign = figure.dataset.stack === "sagittal" ? "right" : "left";
        x = pen.textAlign === "right" ? Math.max(own.left * across - 5, 24) : own.right * across + 6;
      } else pen.textAlign = "left";
      pen.strokeText(level.name, x, y);
      pen.fillText(level.name, x, y);
    }
  }

  function writeSides(pen, wide, high) {
    pen.font = "600 14px system-ui, sans-serif";
    pen.fillStyle = "#f2f2f2";
    for (const [text, x, align] of [[stack.sides[0], 6, "left"], [stack.sides[1], wide - 6, "right"]]) {
      pen.textAlign = align;
      pen.strokeText(text, x, high / 2);
      pen.fillText(text, x, high / 2);
    }
  }

  function draw(table) {
    const wideMm = columns * stack.mm[0], highMm = rows * stack.mm[1];
    const room = figure.parentElement.clientWidth;
    const most = room > 900 ? Math.floor((room - 34) / 3) : Math.min(room, 460);
    const tallest = highMm > 300 ? 900 : 540;
    const wide = Math.max(1, Math.round(Math.min(most, (tallest * wideMm) / highMm)));
    const high = Math.max(1, Math.round((wide * highMm) / wideMm));
    const density = window.devicePixelRatio || 1;
    canvas.style.width = `${wide}px`;
    canvas.style.height = `${high}px`;
    figure.style.width = `${Math.max(wide, Math.min(most, 180))}px`;
    canvas.width = Math.round(wide * density);
    canvas.height = Math.round(high * density);
    const seen = paint(table);
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
    pen.scale(density, density);
    writeNames(pen, seen, wide / columns, high / rows);
    writeSides(pen, wide, high);
    const names = Object.entries(page.levels).filter(([label]) => seen.has(+label)).map(([, level]) => level.name);
    const text = `${stack.positions[+slider.value]}; ${names.join(", ") || "no vertebra"}`;
    caption.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    canvas.setAttribute("aria-label", `${figure.dataset.stack} plane, ${text}`);
  }

  slider.addEventListener("input", () => draw(greys()));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    slider.value = +slider.value + Math.sign(event.deltaY);
    draw(greys());
  }, { passive: false });
  return draw;
}

if ("DecompressionStream" in window) {
  showLive("slices");
  startSlices();
}
