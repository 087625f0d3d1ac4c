// Open a report page in a headless Chromium, use it, and report what is on the screen.
// node page.js '{"chromium": PATH, "url": FILE, "width": 390, "dark": true, "webgl": true, "shot": PNG}' prints one line of JSON.

const puppeteer = require('puppeteer-core');

const task = JSON.parse(process.argv[2]);
const messages = []; // errors of the console and of the page, and every request beside the page itself
const TIMEOUT = { timeout: 60000 };

async function use(page) {
  page.on('console', message => message.type() === 'error' && messages.push(message.text()));
  page.on('pageerror', error => messages.push(error.message));
  page.on('request', request => !request.url().startsWith('data:') && request.url() !== task.url && messages.push(request.url()));
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: task.dark ? 'dark' : 'light' }]);
  await page.goto(task.url, { waitUntil: 'load' });
  await page.waitForFunction(() => [...document.querySelectorAll('.stack figcaption')].every(own => own.textContent), TIMEOUT);
  await page.screenshot({ path: task.shot, fullPage: true });
  const before = await page.evaluate(state);

  await page.focus('[data-stack="axial"] input');
  await page.keyboard.press('ArrowRight');
  await page.focus('#slices button:nth-of-type(2)');
  await page.keyboard.press('Enter');
  if (before.live.solids) {
    await page.focus('#solid-view');
    for (let i = 0; i < 6; i++) await page.keyboard.press('ArrowLeft');
    await page.focus('#solids input[data-label]');
    await page.keyboard.press('Space');
  }
  const after = await page.evaluate(state);
  await page.emulateMediaType('print');
  return { before, after, printed: await page.evaluate(printed) };
}

// --- run within the page ---------------------------------------------------------------------------------------------

function state() {
  const shown = id => !document.querySelector(`#${id} .live`).hidden;
  return {
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    background: getComputedStyle(document.body).backgroundColor,
    live: { slices: shown('slices'), solids: shown('solids') },
    still: document.querySelector('#solids .still').checkVisibility(),
    captions: [...document.querySelectorAll('.stack figcaption')].map(own => own.textContent),
    labels: [...document.querySelectorAll('.stack canvas')].map(own => own.getAttribute('aria-label')),
    window: document.querySelector('#slices button[aria-pressed="true"]').textContent,
    pictures: [...document.querySelectorAll('.live canvas')].map(canvas => canvas.toDataURL()),
  };
}

function printed() {
  const seen = selector => [...document.querySelectorAll(selector)].filter(own => own.checkVisibility()).length;
  return { stills: seen('.still'), live: seen('.live'), nav: seen('nav') };
}

(async () => {
  const browser = await puppeteer.launch({
    executablePath: task.chromium, headless: true, defaultViewport: { width: task.width, height: 900 },
    args: ['--no-sandbox', ...(task.webgl ? ['--use-angle=swiftshader', '--enable-unsafe-swiftshader'] : ['--disable-3d-apis'])],
  });
  try {
    console.log(JSON.stringify({ ...await use(await browser.newPage()), messages }));
  } finally {
    await browser.close();
  }
})().catch(error => { console.error(error); process.exit(1); });
