// Open a segmentation in OHIF in a headless Chromium, and report what is on the screen.
// node inspect.js '{"chromium": PATH, "url": VIEWER, "shown": PNG, "hidden": PNG}' prints one line of JSON; the exit code is 1 if the
// viewer does not get this far, and the first screenshot then shows its state.

const puppeteer = require('puppeteer-core');

const task = JSON.parse(process.argv[2]);
const TIMEOUT = { timeout: 90000, polling: 250 };
const SAGITTAL = 'mpr-sagittal';
const messages = []; // errors of the browser's console and of its pages

async function inspect(page) {
  await page.evaluateOnNewDocument(() => localStorage.setItem('shownTours', '["basicViewerTour"]'));
  page.on('console', message => message.type() === 'error' && messages.push(message.text()));
  page.on('pageerror', error => messages.push(error.message));
  page.on('response', answer => answer.status() >= 400 && messages.push(`${answer.status()} ${answer.url()}`));
  await page.goto(task.url, { waitUntil: 'domcontentloaded', timeout: TIMEOUT.timeout });

  const panel = '[data-cy="panelSegmentation-btn"]';
  await page.waitForSelector(panel, TIMEOUT);
  // Until the segmentation is rendered over the images, another layout would lose it.
  await page.waitForFunction(overlaid, TIMEOUT, 'default');
  await page.waitForFunction(atMiddleSlice, TIMEOUT, 'default');
  await page.waitForFunction(drawn, TIMEOUT, 'default', 100, Infinity);
  await page.click(panel);
  await page.waitForSelector('[data-cy="data-row"]', TIMEOUT);
  // Three planes: the sagittal one shows all levels at once.
  await page.evaluate(() => window.commandsManager.run('toggleHangingProtocol', { protocolId: 'mpr' }));
  await page.waitForFunction(drawn, TIMEOUT, SAGITTAL, 500, Infinity);
  await page.waitForFunction(volumesAreComplete, TIMEOUT);
  await page.screenshot({ path: task.shown });
  const seen = await page.evaluate(onScreen, SAGITTAL);

  await page.evaluate(hideAll);
  await page.waitForFunction(drawn, TIMEOUT, SAGITTAL, 0, 0);
  await page.screenshot({ path: task.hidden });
  return seen;
}

// --- run within the page ---------------------------------------------------------------------------------------------

// Whether a viewport shows the greys of the CT, and over them a number of coloured pixels from least to most.
function drawn(viewportId, least, most) {
  const viewport = window.services?.cornerstoneViewportService?.getCornerstoneViewport(viewportId);
  const canvas = viewport?.getCanvas();
  if (!canvas?.width) return false;
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let greys = 0, colours = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    const [red, green, blue] = [pixels[i], pixels[i + 1], pixels[i + 2]];
    if (Math.max(red, green, blue) - Math.min(red, green, blue) > 40) colours += 1;
    else if (red > 40) greys += 1;
  }
  return greys > 5000 && colours >= least && colours <= most;
}

// Whether the segmentation has been read and put over the images of a viewport.
function overlaid(viewportId) {
  const { segmentationService, displaySetService } = window.services ?? {};
  const loaded = displaySetService?.getActiveDisplaySets().filter(set => set.Modality === 'SEG' && set.isLoaded);
  return loaded?.length === 1 && segmentationService.getSegmentationRepresentations(viewportId).length === 1;
}

// Whether a viewport shows the middle slice; the viewer itself goes to the first one with a segment.
function atMiddleSlice(viewportId) {
  const viewport = window.services.cornerstoneViewportService.getCornerstoneViewport(viewportId);
  const away = Math.floor(viewport.getImageIds().length / 2) - viewport.getCurrentImageIdIndex();
  if (away !== 0) viewport.scroll(away);
  return away === 0;
}

// Whether every volume holds all of its slices.
function volumesAreComplete() {
  const volumes = window.cornerstone.cache.getVolumes().filter(volume => volume.loadStatus);
  return volumes.length > 0 && volumes.every(volume => volume.loadStatus.loaded);
}

function onScreen(viewportId) {
  const visible = element => element.getClientRects().length > 0;
  const texts = selector => [...document.querySelectorAll(selector)].filter(visible).map(element => element.innerText);
  const element = window.services.cornerstoneViewportService.getCornerstoneViewport(viewportId).element;
  const { x, y, width, height } = element.getBoundingClientRect();
  return {
    text: document.body.innerText,
    rows: texts('[data-cy="data-row"]'),
    dialogs: texts('[role="dialog"], [role="alertdialog"]'),
    notices: texts('[data-sonner-toast]'),
    pane: { x, y, width, height },
  };
}

function hideAll() {
  const { segmentationService, viewportGridService } = window.services;
  for (const viewportId of viewportGridService.getState().viewports.keys())
    for (const { segmentationId, type } of segmentationService.getSegmentationRepresentations(viewportId))
      segmentationService.toggleSegmentationRepresentationVisibility(viewportId, { segmentationId, type });
}

// ---------------------------------------------------------------------------------------------------------------------

(async () => {
  const browser = await puppeteer.launch({
    executablePath: task.chromium,
    headless: true,
    args: [
      '--no-sandbox', // it only shows content of the test
      '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist',
      '--disable-dev-shm-usage',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', // no network beyond this machine
    ],
  });
  const page = await browser.newPage();
  try {
    await page.setViewport({ width: 1600, height: 1000 });
    console.log(JSON.stringify({ ...(await inspect(page)), messages }));
  } catch (error) {
    await page.screenshot({ path: task.shown });
    console.log(JSON.stringify({ failed: error.message, text: await page.evaluate(() => document.body.innerText), messages }));
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
})();
