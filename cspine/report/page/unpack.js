"use strict";
// What the page carries: zlib in base64 (cspine/report/page/packing.py).

const page = JSON.parse(document.getElementById("data").textContent);

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function unpackPlanes(text, columns) {
  const bytes = new Uint8Array(await unpack(text));
  for (let i = 0; i < bytes.length; i++) if (i % columns) bytes[i] += bytes[i - 1];
  return bytes;
}

// Show what needs a script in place of the pictures of a section.
function showLive(id) {
  const section = document.getElementById(id);
  section.querySelector(".live").hidden = false;
  const still = section.querySelector(".still");
  still.hidden = true;
  matchMedia("print").addEventListener("change", (event) => { still.hidden = !event.matches; });
}
