// The vertebrae in 3-D: surfaces lit from the viewer, in an orthographic view that turns about the axis of the patient.

const VERTEX_SHADER = `
attribute vec3 point; attribute vec3 normal;
uniform mat3 turn; uniform vec2 scale; uniform float depth;
varying vec3 direction;
void main() {
  vec3 seen = turn * point;
  direction = turn * normal;
  gl_Position = vec4(seen.x * scale.x, seen.y * scale.y, -seen.z * depth, 1.0);
}`;
const FRAGMENT_SHADER = `
precision mediump float;
varying vec3 direction; uniform vec3 colour;
void main() {
  vec3 n = normalize(direction);
  float facing = abs(n.z);
  float light = 0.30 + 0.55 * facing + 0.15 * max(0.0, dot(n, vec3(-0.4, 0.75, 0.53)));
  gl_FragColor = vec4(colour * light + 0.12 * pow(facing, 24.0), 1.0);
}`;

function compile(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX_SHADER], [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  gl.useProgram(program);
  return program;
}

async function upload(gl, part) {
  const points = new Int16Array(await unpack(part.points));
  const buffer = (target, data) => {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, data, gl.STATIC_DRAW);
    return made;
  };
  const triangles = new Uint16Array(await unpack(part.triangles));
  return {
    label: part.label,
    reach: points.reduce((most, v) => Math.max(most, Math.abs(v)), 0),
    count: triangles.length,
    points: buffer(gl.ARRAY_BUFFER, points),
    normals: buffer(gl.ARRAY_BUFFER, new Int8Array(await unpack(part.normals))),
    triangles: buffer(gl.ELEMENT_ARRAY_BUFFER, triangles),
  };
}

async function startSolids(canvas, gl) {
  const program = compile(gl);
  const at = (name) => gl.getUniformLocation(program, name);
  const [point, normal] = ["point", "normal"].map((name) => gl.getAttribLocation(program, name));
  const parts = [];
  for (const part of page.solids.parts) parts.push(await upload(gl, part));
  const reach = Math.max(...parts.map((part) => part.reach));
  const boxes = [...document.querySelectorAll("#solids input[data-label]")];
  const view = { yaw: 30, pitch: 8, zoom: 1 };
  const spin = document.getElementById("spin");
  let timer = 0;

  // From LPS (left, posterior, superior) to right, up, towards the viewer; yaw 0 is from the front.
  function rotation() {
    const a = (view.yaw * Math.PI) / 180, b = (view.pitch * Math.PI) / 180;
    const right = [Math.cos(a), Math.sin(a), 0];
    const near = [Math.sin(a) * Math.cos(b), -Math.cos(a) * Math.cos(b), Math.sin(b)];
    const up = [near[1] * right[2] - near[2] * right[1], near[2] * right[0] - near[0] * right[2], near[0] * right[1] - near[1] * right[0]];
    return [0, 1, 2].flatMap((i) => [right[i], up[i], near[i]]);
  }

  function draw() {
    const density = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * density);
    canvas.height = Math.round(canvas.clientHeight * density);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(16 / 255, 20 / 255, 24 / 255, 1);
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const size = (0.96 * view.zoom) / reach;
    gl.uniformMatrix3fv(at("turn"), false, rotation());
    gl.uniform2f(at("scale"), (size * canvas.height) / canvas.width, size);
    gl.uniform1f(at("depth"), 0.5 / reach);
    for (const part of parts) {
      if (!boxes.find((box) => +box.dataset.label === part.label).checked) continue;
      gl.uniform3fv(at("colour"), page.levels[part.label].rgb.map((v) => v / 255));
      gl.bindBuffer(gl.ARRAY_BUFFER, part.points);
      gl.enableVertexAttribArray(point);
      gl.vertexAttribPointer(point, 3, gl.SHORT, false, 0, 0);
      gl.bindBuffer(gl.ARRAY_BUFFER, part.normals);
      gl.enableVertexAttribArray(normal);
      gl.vertexAttribPointer(normal, 3, gl.BYTE, true, 0, 0);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.triangles);
      gl.drawElements(gl.TRIANGLES, part.count, gl.UNSIGNED_SHORT, 0);
    }
  }

  function turn(yaw, pitch) {
    view.yaw += yaw;
    view.pitch = Math.max(-90, Math.min(90, view.pitch + pitch));
    draw();
  }

  function zoom(factor) {
    view.zoom = Math.max(0.5, Math.min(8, view.zoom * factor));
    draw();
  }

  function setSpin(on) {
    cancelAnimationFrame(timer);
    spin.setAttribute("aria-pressed", String(on));
    let before = 0;
    const step = (now) => {
      if (before) turn(((now - before) / 1000) * 30, 0);
      before = now;
      timer = requestAnimationFrame(step);
    };
    if (on) timer = requestAnimationFrame(step);
  }

  const keys = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, 8], ArrowDown: [0, -8] };
  canvas.addEventListener("keydown", (event) => {
    if (event.key in keys) turn(...keys[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(1.15);
    else if (event.key === "-") zoom(1 / 1.15);
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("pointerdown", (event) => { setSpin(false); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) turn(-event.movementX * 0.5, event.movementY * 0.5);
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300));
  }, { passive: false });
  for (const button of document.querySelectorAll("#solids button[data-yaw]")) {
    button.addEventListener("click", () => { setSpin(false); view.pitch = 0; view.yaw = +button.dataset.yaw; draw(); });
  }
  spin.addEventListener("click", () => setSpin(spin.getAttribute("aria-pressed") !== "true"));
  for (const box of boxes) box.addEventListener("change", draw);
  addEventListener("resize", draw);
  draw();
}

{
  const canvas = document.getElementById("solid-view");
  const gl = canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
  if (gl && page.solids.parts.length && "DecompressionStream" in window) {
    showLive("solids");
    startSolids(canvas, gl);
  }
}
